"""Official archives and splits of the data sets, with their numbers of images."""

from typing import NamedTuple


class Split(NamedTuple):
    """A split of VOC.

    Attributes:
        folder: The year; empty for a data set of the user's own.
        task: Folder in ImageSets.
        name: Name of the split.
        images: Official number of images; 0 if there is none.
        archive: The archive that contains it.
        labels: Folder of its annotations.
        ending: End of their file names.
        added: Archive from another source with its labels; such a split is optional.
    """

    folder: str
    task: str
    name: str
    images: int = 0
    archive: str = ''
    labels: str = 'Annotations'
    ending: str = '.xml'
    added: str = ''


VOC_2007, VOC_2007_TEST = 'VOCtrainval_06-Nov-2007.tar', 'VOCtest_06-Nov-2007.tar'
VOC_2012, SBD = 'VOCtrainval_11-May-2012.tar', 'benchmark.tgz'
VOC_YEARS = {'VOC2007': f'{VOC_2007} and {VOC_2007_TEST}', 'VOC2012': VOC_2012}
VOC_SPLITS = (
    Split('VOC2007', 'Main', 'trainval', 5011, VOC_2007),
    Split('VOC2007', 'Main', 'test', 4952, VOC_2007_TEST),
    Split('VOC2012', 'Main', 'trainval', 11540, VOC_2012),
    Split('VOC2012', 'Segmentation', 'train', 1464, VOC_2012, 'SegmentationClass', '.png'),
    Split('VOC2012', 'Segmentation', 'val', 1449, VOC_2012, 'SegmentationClass', '.png'),
    Split('VOC2012', 'Segmentation', 'aug', 9118, VOC_2012, 'SegmentationClassAug', '.png', added=SBD),
)
COCO_ANNOTATIONS = 'annotations_trainval2017.zip'
COCO_SPLITS = {'train2017': 118287, 'val2017': 5000}
CITYSCAPES_IMAGES, CITYSCAPES_LABELS = 'leftImg8bit_trainvaltest.zip', 'gtFine_trainvaltest.zip'
CITYSCAPES_SPLITS = {'train': 2975, 'val': 500}
