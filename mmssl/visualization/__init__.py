"""Charts and images of a run, combined in one HTML file."""

from mmssl.visualization.charts import lines_figure, save_figure
from mmssl.visualization.html import Section, Tile, write_report
from mmssl.visualization.image_sections import (
    activation_section,
    gallery_section,
    neighbors_section,
    picture_sections,
    views_section,
)
from mmssl.visualization.images import to_image
from mmssl.visualization.records import describe_command, environment, read_scalars
from mmssl.visualization.run_report import report_run
from mmssl.visualization.sections import (
    clusters_section,
    export_section,
    map_section,
    monitors_section,
    probe_section,
    project,
    prototypes_section,
    reproduction_section,
    results_section,
    stages_section,
    training_section,
)

__all__ = [
    'Section',
    'Tile',
    'activation_section',
    'clusters_section',
    'describe_command',
    'environment',
    'export_section',
    'gallery_section',
    'lines_figure',
    'map_section',
    'monitors_section',
    'neighbors_section',
    'picture_sections',
    'probe_section',
    'project',
    'prototypes_section',
    'read_scalars',
    'report_run',
    'reproduction_section',
    'results_section',
    'save_figure',
    'stages_section',
    'to_image',
    'training_section',
    'views_section',
    'write_report',
]
