import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from jinja2 import UndefinedError
from mmengine.config import Config
from PIL import Image

from mmssl.evaluation import NO_LABELS, Measure, Result, extract_features
from mmssl.models import DataPreprocessor, MLPNeck, Prototypes, ResNet, SwAV
from mmssl.visualization import (
    Section,
    clusters_section,
    describe_command,
    environment,
    export_section,
    gallery_section,
    map_section,
    monitors_section,
    neighbors_section,
    probe_section,
    project,
    prototypes_section,
    read_scalars,
    report_run,
    reproduction_section,
    results_section,
    segments_section,
    stages_section,
    to_image,
    training_section,
    views_section,
    write_report,
)
from mmssl.visualization.charts import curve_chart, lines_chart, map_chart, marked_chart, usage_chart
from mmssl.visualization.html import Figure, Tile, charts, code, details, element, paragraph, sheet, table
from mmssl.visualization.run_report import thinned
from tests.evaluation.stand_ins import encoder, fixed, pairs
from tests.evaluation.test_measurement import FACTS, result, unlabelled
from tests.evaluation.test_slots import _scenes, _small
from tests.helpers.mutation import Mutation

ROWS = [result(80, 83), result(70, 72), result(81.5, 84)]


class Page(HTMLParser):
    """What a browser would find: text, links, images, and whether every element is closed."""

    void = frozenset({'meta', 'img', 'br', 'link'})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.images: list[dict] = []
        self.headings: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.text = ''
        self.feed(text)
        assert not self.open, f'not closed: {self.open}'

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append(tag)
        self.attributes += found
        self.links += [found[name] for name in ('src', 'href', 'xlink:href') if name in found]
        self.ids += [found['id']] if 'id' in found else []
        if tag in ('img', 'svg'):
            self.images.append(found)
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.void:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] == 'h2':
            self.headings.append(data)


def write_log(work_dir: Path, name: str = '20200101_000000', first: int = 10, last: int = 300) -> None:
    lines = [
        {'lr': 0.1, 'loss': 5 - step / 100, 'time': 0.2, 'data_time': 0.05, 'prototypes_used': 0.5, 'step': step}
        for step in range(first, last + 1, 10)
    ]
    lines += [{'knn_top1': 20.0 + step / 10, 'epoch': step // 100, 'step': step} for step in (0, 100, 200, 300)]
    path = work_dir / name / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('\n'.join(map(json.dumps, lines)) + '\n')


def swav() -> SwAV:
    torch.manual_seed(0)
    return SwAV(
        ResNet(10, 3, 'small', base_channels=4), MLPNeck(32, 16, 8), Prototypes(8, 12),
        data_preprocessor=DataPreprocessor(mean=[127.5] * 3, std=[60.0] * 3),
    )  # fmt: skip


def run_config(work_dir: Path, labelled: bool = True) -> Config:
    cfg = Config({'model': {'type': 'SwAV'}, 'work_dir': str(work_dir)})
    cfg._cfg_dict['train_dataloader'] = {'dataset': pairs(20, labelled=labelled)}
    cfg._cfg_dict['evaluation'] = {'gallery': fixed(40, labelled=labelled), 'batch_size': 16, 'num_workers': 0}
    if labelled:
        cfg._cfg_dict['evaluation']['query'] = fixed(12)
    cfg.__dict__['_text'] = ''
    return cfg


@pytest.fixture(scope='module', autouse=True)
def _plain_config_text():
    with pytest.MonkeyPatch.context() as patch:  # the configs here hold data sets, not their configs
        patch.setattr(Config, 'pretty_text', property(lambda self: 'model = <SwAV & more>'))
        yield


@pytest.fixture(scope='module')
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp('run')
    write_log(folder)
    exported = export_section('20 of 20 keys matched', 'network = ...', folder / 'backbone.pth')
    command = describe_command(['python', 'tools/train.py', 'my config.py'])
    path = report_run(folder / 'r' / 'report.html', swav(), run_config(folder), ROWS, command, exported=exported)
    return path.read_text()


def test_the_report_of_a_run_has_every_part_and_nothing_from_outside(report):
    page = Page(report)
    assert page.headings == [
        'Results', 'Training', 'What the network saw', 'Nearest neighbours', 'Map of the features', 'Prototype usage',
        'The backbone, exported', 'Environment and command',
    ]  # fmt: skip
    assert "python tools/train.py 'my config.py'" in page.text
    assert 'model = <SwAV & more>' in page.text
    assert '11.5 points above the untrained one' in page.text
    assert all(link.startswith(('data:image/png;base64,', '#')) for link in page.links)
    assert report.count('http') == 0
    assert report.count('@import') == 0
    assert report.count('<script') == 0


def test_the_first_lines_of_a_report_are_the_verdict_and_the_next_step(tmp_path):
    write_log(tmp_path)
    rows = [unlabelled(value) for value in (10.0, 20.0, 45.0)]
    text = report_run(
        tmp_path / 'r.html', swav(), run_config(tmp_path, labelled=False), rows, 'x', facts=FACTS
    ).read_text()
    after = Page(text).text.split('Results', 1)[1]
    places = [
        after.index(part)
        for part in ('It learned: it is above', 'This rests on 3,068 images', 'Compute features in Python:',
                     'network = ...', 'trained on images of 64 x 64 pixels', NO_LABELS)
    ]  # fmt: skip
    assert places == sorted(places)


def test_every_image_has_an_alternative_text_and_every_inner_link_a_target(report):
    page = Page(report)
    assert len(page.images) > 60
    assert all(image.get('alt') or image.get('aria-label') for image in page.images)
    assert {link[1:] for link in page.links if link.startswith('#')} <= set(page.ids)
    assert set(re.findall(r'url\(#([^)]*)\)', report)) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_the_report_of_images_without_labels_claims_no_accuracy(tmp_path):
    write_log(tmp_path)
    rows = [unlabelled(value) for value in (10.0, 20.0, 45.0)]
    page = Page(report_run(tmp_path / 'r.html', swav(), run_config(tmp_path, labelled=False), rows, 'x').read_text())
    assert NO_LABELS in page.text
    assert 'k-means clusters' in page.text
    assert 'same class' not in page.text


def test_text_is_escaped(tmp_path):
    section = Section('a < b', [paragraph('<script>1 & 2</script>')])
    text = write_report(tmp_path / 'r.html', 'A "title"', [section], lead=['x > y']).read_text()
    assert text.count('<script>') == 0
    assert Page(text).headings == ['a < b']


def test_logs_of_a_resumed_run_are_joined_and_the_later_one_counts(tmp_path):
    write_log(tmp_path, '20200101_000000', 10, 100)
    write_log(tmp_path, '20200102_000000', 90, 200)
    path = tmp_path / '20200102_000000' / 'vis_data' / 'scalars.json'
    path.write_text(path.read_text().replace('"loss": 4.0', '"loss": 9.0'))  # step 100 again
    steps, losses = read_scalars(tmp_path)['loss']
    assert steps == list(range(10, 201, 10))
    assert losses[steps.index(100)] == 9.0


def test_a_folder_without_log_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='No log in'):
        read_scalars(tmp_path)


def test_what_was_not_logged_is_left_out_of_the_training_section():
    assert ''.join(training_section({'loss': ([1, 2], [3.0, 2.0])}).parts).count('<svg') == 1
    assert '<svg' not in ''.join(training_section({}).parts)


def test_the_share_of_waiting_is_that_of_the_log(tmp_path):
    write_log(tmp_path)
    assert '25\N{NO-BREAK SPACE}% of it waiting for data' in ''.join(training_section(read_scalars(tmp_path)).parts)


def test_views_show_the_original_and_each_view_and_training_draws_on_as_before():
    data = pairs(9)
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    page = Page(''.join(views_section(data, count=4).parts))
    assert torch.equal(torch.rand(2), expected)
    assert len(page.images) == 4 * (1 + 3)
    assert page.text.count('original') == 4
    assert page.text.count('16 px') == 8
    assert page.text.count('8 px') == 4


def test_neighbours_are_framed_by_class_and_an_image_is_not_its_own(tmp_path):
    data = fixed(30)
    features = extract_features(encoder(), data)
    html = ''.join(neighbors_section(features, data, features, data, count=3, neighbors=5).parts)
    assert html.count('class="first"') == 3
    assert len(re.findall('class="(?:right|wrong)"', html)) == 15
    assert html.count('cosine 1.00') == 0


def test_frames_are_right_where_the_classes_agree():
    gallery_data, query_data = fixed(3), fixed(3)
    features = extract_features(encoder(), gallery_data)
    features.features = torch.eye(3)
    query = extract_features(encoder(), query_data)
    query.features = torch.tensor([[1.0, 0.5, 0.0]])  # of class 0: nearest is 0, then 1
    query.labels = query.labels[:1]
    html = ''.join(neighbors_section(features, gallery_data, query, query_data, neighbors=2).parts)
    assert re.findall('<figure class="(.*?)"', html) == ['first', 'right', 'wrong']


def test_where_images_were_left_out_the_others_are_shown_with_their_own_features():
    data = fixed(30)
    features = extract_features(encoder(), data)
    kept = features.rows(torch.arange(2, 30))
    shown = ''.join(neighbors_section(kept, data, kept, data, count=1, neighbors=1).parts)
    alone = ''.join(sheet([[Tile(to_image(data[2]['inputs'][0]), '')]]))
    assert Page(shown).images[0]['src'] == Page(alone).images[0]['src']


def test_a_cluster_of_images_without_a_class_is_only_counted():
    data = fixed(12)
    features = extract_features(encoder(), data)
    features.labels[:] = -1
    assert re.findall(r'>12 images<', ''.join(gallery_section(features, data, clusters=1).parts))
    assert 'coloured by k-means clusters' in ''.join(map_section(features, ['a', 'b'], method='pca').parts)
    features.labels[:4] = torch.tensor([0, 0, 1, 1])
    assert all(name in ''.join(map_section(features, ['a', 'b'], method='pca').parts) for name in ('no class', '>a<'))


def test_maps_are_the_same_every_time_and_coloured_by_class_or_cluster():
    features = extract_features(encoder(), fixed(30))
    for method in ('tsne', 'pca'):
        points = project(features.features.numpy(), method)
        assert points.shape == (30, 2)
        assert np.array_equal(points, project(features.features.numpy(), method))
    assert 'coloured by classes' in ''.join(map_section(features, ['a', 'b', 'c'], method='pca').parts)
    features.labels = None
    assert 'coloured by k-means clusters' in ''.join(map_section(features, method='pca').parts)
    with pytest.raises(ValueError, match="choose 'tsne', 'umap' or 'pca'"):
        project(features.features.numpy(), 'mds')


def test_names_that_are_no_text_are_drawn_and_written_with_a_stand_in(tmp_path):
    features = extract_features(encoder(), fixed(30))
    section = map_section(features, ['caf\udce9', 'b', 'c'], method='pca')
    page = write_report(tmp_path / 'report.html', 'caf\udce9', [section]).read_text('utf-8')
    assert page.count('caf\ufffd') > 1


def test_a_map_of_many_classes_has_no_legend():
    points, groups = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) % 30
    names = [f'name{group}' for group in range(30)]
    assert 'name3' not in map_chart(points, groups, names, 'map')
    assert 'name3' in map_chart(points, groups % 20, names, 'map')


def test_a_map_by_umap_is_made_or_says_what_to_install():
    rows = extract_features(encoder(), fixed(30)).features.numpy()
    if find_spec('umap'):
        assert project(rows, 'umap').shape == (30, 2)
    else:
        with pytest.raises(ImportError, match="pip install 'umap-learn'"):
            project(rows, 'umap')


def test_what_the_monitors_saw_is_drawn_a_panel_a_measure():
    curve = ([0, 5], [0.2, 0.6])
    seen = {'features/deviation': curve, 'embedding/deviation': curve, 'prototypes/dead': curve, 'loss': curve}
    section = monitors_section(seen)
    assert ''.join(section.parts).count('<svg') == 2
    assert 'deviation: features from 0.2 to 0.6; embedding from 0.2' in ''.join(section.parts)
    assert monitors_section({'loss': curve}) is None


def test_clusters_of_images_show_the_nearest_and_others_of_each():
    data = fixed(60)
    features = extract_features(encoder(), data)
    html = ''.join(gallery_section(features, data, clusters=3, shown=4).parts)
    page, sizes = Page(html), [int(size) for size in re.findall(r'>(\d+) images, \d+% of them class', html)]
    assert len(sizes) == 3 and sum(sizes) == 60 and sizes == sorted(sizes, reverse=True)
    assert len(page.images) == sum(min(size, 8) for size in sizes)


def test_prototypes_are_counted_by_the_first_choice():
    counts = torch.tensor([3, 0, 9])
    text = ''.join(prototypes_section(counts).parts)
    assert '3 prototypes, 12 images' in text and '1 prototype is the first choice of none' in text


def test_clusters_are_shown_with_their_sizes_and_changes():
    scalars = {'label_change': ([1, 2], [0.5, 0.25]), 'largest_cluster': ([1, 2], [0.1, 0.2])}
    section = clusters_section(torch.tensor([30, 5, 12, 9]), scalars)
    text = ''.join(section.parts)
    assert '4 clusters of 5 to 30 images, half of them below 12' in text
    assert text.count('<svg') == 3 and 'from 50 to 25' in text
    assert ''.join(clusters_section(torch.tensor([3, 3]), {}).parts).count('<svg') == 1


def test_charts_take_their_ink_from_the_page_and_hold_their_numbers():
    chart = curve_chart((range(100), np.linspace(5, 3, 100)), 'loss', smooth=True)
    assert chart.count('currentColor') > 5
    assert chart.count('#010203') == 0
    assert 'from 5 to 3' in chart
    assert '>12.3<' in marked_chart(([0, 1], [12.34, 50.0]), 'k-NN', 'step')
    assert '1 unused' in usage_chart([3, 0, 5])


def test_a_chart_of_a_single_point_works():
    assert '<svg' in curve_chart(([5], [1.0]), 'loss', smooth=True)
    assert '<svg' in marked_chart(([0], [1.0]), 'k-NN', 'step')


@pytest.mark.parametrize(('channels', 'mode'), [(1, 'L'), (2, 'L'), (3, 'RGB'), (4, 'RGB'), (12, 'RGB')])
def test_images_of_any_channels_can_be_shown(channels, mode):
    image = to_image(torch.randint(0, 255, (channels, 20, 30), dtype=torch.uint8))
    assert (image.mode, image.size) == (mode, (30, 20))


def test_sixteen_bits_are_stretched_and_large_images_made_small():
    image = to_image(torch.tensor([[[1000, 2000]]], dtype=torch.uint16))
    assert image.getextrema() == (0, 255)
    assert to_image(torch.zeros(3, 800, 400, dtype=torch.uint8)).size == (80, 160)


def test_a_sheet_has_as_many_columns_as_a_row_has_images():
    tile = Tile(Image.new('L', (4, 4)), 'gray')
    assert 'repeat(3,' in sheet([[tile] * 3] * 2)


def test_the_results_show_all_rows():
    page = Page(''.join(results_section(ROWS).parts))
    for number in ('80.0', '70.0', '81.5', '83.0', '84.0'):
        assert number in page.text


def probed(name: str, knn: float, layer: str = 'stage4') -> Result:
    """A result of the probe, as far as its sections read it."""
    shots = [
        Measure(f'SVM, {k} per class', value, 1.25, protocol='SVM: of 2 draws', details={'shots': k})
        for k, value in ((1, knn), (2, knn + 5))
    ]
    found, clusters = result(knn, knn + 1), Measure('clusters, NMI', 10.0, unit='0-100', protocol='clusters: ...')
    return replace(found, name=name, layer=layer, measures=(*found.measures[:4], *shots, clusters, *found.measures[4:]))


def test_the_probes_section_has_every_measure_its_spread_and_a_line_a_network():
    rows = [probed('raw pixels', 30.0, 'pixels'), probed('a.pth', 45.0)]
    section = probe_section('Results', rows, ['a.pth is above.'])
    text = ''.join(section.parts)
    assert 'a.pth is above.' in text
    assert '45.0 ± 1.2' in text
    assert 'clusters, NMI' in text
    assert 'raw pixels from 30 to 35; a.pth from 45 to 50' in text
    assert 'of 2 draws' in text


def test_more_networks_than_colours_have_a_table_and_no_chart():
    eight = [probed(f'{number}.pth', 40.0 + number) for number in range(8)]
    assert 'svg' in ''.join(probe_section('Results', eight).parts)
    text = ''.join(probe_section('Results', [*eight, probed('last.pth', 61.5)]).parts)
    assert 'svg' not in text
    assert 'last.pth' in text and '61.5' in text


def test_a_result_without_labels_has_no_chart_of_accuracies():
    text = ''.join(probe_section('Results', [unlabelled(50.0)]).parts)
    assert 'svg' not in text
    assert NO_LABELS in text


def test_stages_are_drawn_in_their_order_and_pixels_left_out():
    rows = [probed('raw pixels', 30.0, 'pixels'), *(probed('a.pth', 40.0 + n, f'stage{n}') for n in (1, 2, 3, 4))]
    text = ''.join(stages_section(rows).parts)
    assert 'a.pth from 41 to 44' in text
    assert 'a.pth from 42 to 45' in text  # linear
    assert 'raw pixels' not in text


def test_places_that_double_stand_at_equal_distances():
    drawings = [
        lines_chart({'a': ([1, 2, 4], [1.0, 2.0, 3.0])}, 'title', 'shots', doubling) for doubling in (True, False)
    ]
    assert drawings[0] != drawings[1]
    assert all('>4<' in drawing and 'a from 1 to 3' in drawing for drawing in drawings)


def test_the_environment_names_versions_and_not_the_machine():
    found = environment()
    assert found['torch'] == torch.__version__ or found['torch'] in torch.__version__
    import platform

    assert platform.node() not in ' '.join(found.values())


def test_a_large_data_set_is_thinned_evenly_and_stays_as_it_is():
    data = fixed(10)
    small = thinned(data, 4)
    assert [small.source.name(index) for index in range(len(small))] == [f'array[{place}]' for place in (0, 2, 5, 7)]
    assert len(data) == 10
    assert thinned(data, 10) is data


def test_long_names_of_columns_may_break_behind_an_underscore_only():
    assert '<th scope="col">swav_<wbr>epoch_<wbr>10.pth</th>' in table(['', 'swav_epoch_10.pth'], [['a_b', '1']])
    assert '<td>a_b</td>' in table(['', 'x'], [['a_b', '1']])


HOSTILE = '<script>alert("&amp; \'$x$")'


def test_hostile_names_of_classes_files_networks_and_settings_are_shown_as_text(tmp_path):
    data, names = fixed(30), [HOSTILE, '"><img src=x onerror=alert(1)>', "' onload='x"]
    data.source.classes = names
    data.source.name = lambda index: f'{HOSTILE}{index}.png'
    features = extract_features(encoder(), data)
    lines = {HOSTILE: ([1, 2], [3.0, 4.0]), '{{ 7 * 7 }}</svg>': ([1, 2], [3.0, 2.0])}
    sections = [
        results_section([replace(row, name=HOSTILE) for row in ROWS]),
        views_section(pairs(3)), neighbors_section(features, data, features, data, count=3),
        gallery_section(features, data, clusters=2), map_section(features, names, method='pca'),
        Section(HOSTILE, [charts([Figure(lines_chart(lines, HOSTILE), HOSTILE)])]),
        Section(HOSTILE, [table(['', HOSTILE], [[HOSTILE, '1']])]),
        Section('</h2>', [code(HOSTILE), details(HOSTILE, [HOSTILE]), '<b>a string that no template made</b>']),
        export_section(HOSTILE, HOSTILE, tmp_path / HOSTILE),
        reproduction_section(HOSTILE, HOSTILE, extra={HOSTILE: HOSTILE}),
    ]  # fmt: skip
    text = write_report(tmp_path / 'r.html', HOSTILE, sections, lead=[HOSTILE]).read_text()
    page = Page(text)
    assert not {'script', 'b'} & set(page.tags)
    assert not [name for name in page.attributes if name.startswith('on')]
    assert page.headings[5:8] == [HOSTILE, HOSTILE, '</h2>']
    assert '{{ 7 * 7 }}</svg>' in page.text
    assert {f'query {name}' for name in names} <= {image.get('alt') for image in page.images}
    assert page.text.count(HOSTILE) > 20


def test_names_with_dollar_signs_are_drawn_as_they_are():
    lines = {'costs $5 or $6': ([1, 2], [3.0, 4.0]), 'b': ([1, 2], [3.0, 2.0])}
    assert '>costs $5 or $6</text>' in lines_chart(lines, 'title')
    points, groups = np.random.default_rng(0).normal(size=(6, 2)), np.arange(6) % 2
    assert '>$\\alpha$</text>' in map_chart(points, groups, ['$\\alpha$', 'b'], 'map')


def test_a_text_that_a_template_needs_and_does_not_get_is_an_error():
    with pytest.raises(UndefinedError):
        element('paragraph', text='a')


def test_parts_that_a_method_finds_are_drawn_and_others_have_no_section():
    section = segments_section(_small(), _scenes(5), count=3)
    tiles = re.findall(r'alt="([^"]*)"', ''.join(map(str, section.parts)))
    assert tiles[:2] == ['original, scene 0', 'part 1 of scene 0'] and len(tiles) == 3 * 5
    assert segments_section(encoder(), _scenes(5), count=3) is None


MUTATIONS = [
    Mutation(
        'names of folders and classes are put into a report as HTML',
        'mmssl/visualization/html.py',
        'autoescape=True',
        'autoescape=False',
    ),
    Mutation(
        'a class name with two dollar signs is drawn as mathematics',
        'mmssl/visualization/charts.py',
        "return text.replace('$', r'\\$')",
        'return text',
    ),
]
