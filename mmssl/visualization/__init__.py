"""Pictures of a run, and one HTML file that holds them all."""

from mmssl.visualization.html import Section, Tile, write_report
from mmssl.visualization.pictures import to_picture
from mmssl.visualization.records import describe_command, environment, read_scalars
from mmssl.visualization.run_report import report_run
from mmssl.visualization.sections import (
    clusters_section,
    export_section,
    map_section,
    neighbors_section,
    probe_section,
    project,
    prototype_counts,
    prototypes_section,
    reproduction_section,
    results_section,
    stages_section,
    training_section,
    views_section,
)

__all__ = [
    'Section',
    'Tile',
    'clusters_section',
    'describe_command',
    'environment',
    'export_section',
    'map_section',
    'neighbors_section',
    'probe_section',
    'project',
    'prototype_counts',
    'prototypes_section',
    'read_scalars',
    'report_run',
    'reproduction_section',
    'results_section',
    'stages_section',
    'to_picture',
    'training_section',
    'views_section',
    'write_report',
]
