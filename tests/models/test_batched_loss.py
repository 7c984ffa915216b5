"""Targets and losses of the focal SSD head by the batch, against mmdet's image by image."""

import copy
import pickle

import pytest
import torch
from mmdet.models.dense_heads import AnchorHead
from mmdet.models.task_modules import MaxIoUAssigner
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from mmhadaptive.models.dense_heads import FocalSSDHead, batched_assignment, focal_ssd_head
from mmhadaptive.models.dense_heads.batched_assignment import assign_batch
from mmhadaptive.models.dense_heads.prior_cache import MAX_KEPT

from .test_focal_ssd_head import TRAIN_CFG, build_head

SIZES = ((4, 5), (2, 3))
PAD_SHAPES = ((64, 80), (33, 80), (64, 17), (16, 16))
ASSIGNERS = {
    "ssd": dict(gt_max_assign_all=False),
    "all of the highest": dict(gt_max_assign_all=True),
    "some in between": dict(neg_iou_thr=0.3, min_pos_iou=0.2, gt_max_assign_all=False),
    "no low quality": dict(match_low_quality=False, neg_iou_thr=0.4),
    "negative in a range": dict(neg_iou_thr=(0.1, 0.4), gt_max_assign_all=True),
    "positive below negative": dict(pos_iou_thr=0.3, neg_iou_thr=0.6, gt_max_assign_all=False),
    "high minimum": dict(min_pos_iou=0.45, gt_max_assign_all=True),
}


def assigner_of(options):
    return {**TRAIN_CFG.assigner, **options}


def objects(generator, count, classes=2):
    """Corners on a grid of 4 pixels, so that IoUs tie, some boxes twice, some tiny or outside."""
    corners = torch.randint(-2, 18, (count, 2), generator=generator) * 4.0
    sizes = torch.randint(1, 12, (count, 2), generator=generator) * 4.0
    sizes[torch.rand(count, generator=generator) < 0.2] = 0.5
    boxes = torch.cat([corners, corners + sizes], dim=1)
    if count > 2:
        boxes[-1] = boxes[0]
    labels = torch.randint(classes, (count,), generator=generator)
    return InstanceData(bboxes=boxes, labels=labels)


def case(seed, counts, dtype=torch.float32, memory_format=torch.contiguous_format, classes=2):
    """Arguments of the loss for a picture with so many objects each."""
    generator = torch.Generator().manual_seed(seed)
    maps = [
        [
            (3 * torch.randn(len(counts), 6 * channels, *size, generator=generator))
            .to(dtype)
            .contiguous(memory_format=memory_format)
            .requires_grad_()
            for size in SIZES
        ]
        for channels in (classes, 4)
    ]
    truth = [objects(generator, count, classes) for count in counts]
    return *maps, truth, metas(counts, PAD_SHAPES[:1])


def metas(counts, shapes):
    return [dict(img_shape=s, pad_shape=s) for s in (shapes * len(counts))[: len(counts)]]


def losses_and_gradients(loss_by_feat, head, arguments):
    losses = loss_by_feat(head, *arguments)
    assert losses.keys() == {"loss_cls", "loss_bbox"}
    values = [*losses["loss_cls"], *losses["loss_bbox"]]
    assert len(values) == 2 * len(SIZES)
    # A factor for each, so that none hides behind another.
    total = sum(value * factor for factor, value in enumerate(values, start=1))
    return values, torch.autograd.grad(total, [*arguments[0], *arguments[1]])


def assert_as_mmdet(head, arguments, rtol=1e-6, atol=1e-6):
    assert head.batched
    expected = losses_and_gradients(AnchorHead.loss_by_feat, head, arguments)
    found = losses_and_gradients(FocalSSDHead.loss_by_feat, head, arguments)
    for theirs, ours in zip(expected, found, strict=True):
        for a, b in zip(theirs, ours, strict=True):
            torch.testing.assert_close(b, a, rtol=rtol, atol=atol)


@pytest.mark.parametrize("options", ASSIGNERS.values(), ids=ASSIGNERS)
@pytest.mark.parametrize("shapes", [PAD_SHAPES[:1], PAD_SHAPES], ids=["whole", "padded"])
def test_the_assignment_is_mmdets(options, shapes, monkeypatch):
    """Exactly, ties included; also where not all pairs are in memory at once."""
    head = build_head()
    assigner = MaxIoUAssigner(**{k: v for k, v in assigner_of(options).items() if k != "type"})
    sizes = list(SIZES)
    priors = torch.cat(head.prior_generator.grid_priors(sizes, device="cpu"))
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        counts = torch.randint(0, 7, (6,), generator=generator).tolist()
        truth = [objects(generator, count) for count in counts]
        flags = [
            torch.cat(head.prior_generator.valid_flags(sizes, meta["pad_shape"], "cpu"))
            for meta in metas(counts, shapes)
        ]
        monkeypatch.setitem(batched_assignment.MAX_PAIRS, "cpu", (1, 1000, 2**20)[seed % 3])
        valid = None if shapes == PAD_SHAPES[:1] else torch.stack(flags)
        found = assign_batch(assigner, priors, [each.bboxes for each in truth], valid)
        before = 0
        for row, each, flag in zip(found, truth, flags, strict=True):
            result = assigner.assign(InstanceData(priors=priors[flag]), each)
            expected = result.gt_inds + before * (result.gt_inds > 0)
            assert row[flag].tolist() == expected.tolist()
            assert (row[~flag] == -1).all()
            before += len(each)


@pytest.mark.parametrize("options", ASSIGNERS.values(), ids=ASSIGNERS)
@pytest.mark.parametrize("pos_weight", [-1, 2.5])
def test_losses_and_gradients(options, pos_weight):
    cfg = ConfigDict(TRAIN_CFG, assigner=assigner_of(options), pos_weight=pos_weight)
    head = build_head(train_cfg=cfg)
    for seed, counts in enumerate([(3, 1, 5), (0, 4, 0, 2), (0, 0), (1,), (12, 0, 7)]):
        assert_as_mmdet(head, case(seed, counts))
        padded = (*case(seed, counts)[:3], metas(counts, PAD_SHAPES))
        assert_as_mmdet(head, padded)


@pytest.mark.parametrize("gamma", [0.0, 1.5, 2.0])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_in_float64(gamma, memory_format):
    """The formulas are the same, not only near each other; gamma 0 has a weight as well."""
    loss = dict(type="FocalLoss", use_sigmoid=True, gamma=gamma, alpha=0.4, loss_weight=1.7)
    head = build_head(loss_cls=loss, loss_bbox=dict(type="L1Loss", loss_weight=0.3))
    for seed in range(5):
        arguments = case(seed, (2, 0, 6), torch.float64, memory_format)
        # mmdet's log(1 + e^x) and torch's softplus differ by e^-20 beyond x = 20.
        assert_as_mmdet(head, arguments, rtol=1e-8, atol=1e-9)


def test_one_class_and_confident_logits():
    head = build_head(num_classes=1)
    for seed, factor in enumerate((1, 10, 40)):
        arguments = case(seed, (3, 2), classes=1)
        with torch.no_grad():
            for scores in arguments[0]:
                scores *= factor
        assert_as_mmdet(head, arguments)


def test_other_classification_losses():
    head = build_head(loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=True))
    for seed in range(3):
        assert_as_mmdet(head, case(seed, (3, 0, 2)))


def test_the_default_boxes_of_other_detectors():
    generator = dict(type="AnchorGenerator", strides=[16, 32], scales=[1, 2], ratios=[0.5, 1, 2])
    head = build_head(anchor_generator=generator)
    for seed in range(3):
        assert_as_mmdet(head, case(seed, (3, 0, 2)))


def test_boxes_of_mmdets_type():
    head = build_head()
    *rest, truth, metas_ = case(0, (3, 0, 2))
    expected = losses_and_gradients(FocalSSDHead.loss_by_feat, head, (*rest, truth, metas_))
    typed = [InstanceData(bboxes=HorizontalBoxes(t.bboxes), labels=t.labels) for t in truth]
    found = losses_and_gradients(FocalSSDHead.loss_by_feat, head, (*rest, typed, metas_))
    assert all(torch.equal(a, b) for a, b in zip(expected[1], found[1], strict=True))


def test_autocast_is_as_exact_as_float32():
    """Logits in bfloat16: losses as of the same logits in float32, gradients rounded once."""
    head = build_head()
    for seed in range(4):
        low = case(seed, (3, 0, 5), torch.bfloat16, torch.channels_last)
        high = ([t.detach().float().requires_grad_() for t in maps] for maps in low[:2])
        exact = losses_and_gradients(AnchorHead.loss_by_feat, head, (*high, *low[2:]))
        with torch.autocast("cpu", torch.bfloat16):
            ours = losses_and_gradients(FocalSSDHead.loss_by_feat, head, low)
            theirs = losses_and_gradients(AnchorHead.loss_by_feat, head, low)
        for a, b, c in zip(exact[0], ours[0], theirs[0], strict=True):
            assert b.dtype == c.dtype == torch.float32
            torch.testing.assert_close(b, a, rtol=1e-6, atol=1e-6)
            torch.testing.assert_close(c, a, rtol=2e-2, atol=1e-3)
        for a, b in zip(exact[1], ours[1], strict=True):
            assert b.dtype == torch.bfloat16
            torch.testing.assert_close(b.float(), a, rtol=2**-7, atol=1e-6)


def test_backward_twice():
    head = build_head()
    arguments = case(0, (3, 2))
    losses = head.loss_by_feat(*arguments)
    total = sum(losses["loss_cls"])
    inputs = arguments[0]
    once = torch.autograd.grad(total, inputs, retain_graph=True)
    kept = [gradient.clone() for gradient in once]
    double = torch.autograd.grad(2 * total, inputs, retain_graph=True)
    again = torch.autograd.grad(total, inputs)
    for a, b, c in zip(kept, double, again, strict=True):
        assert torch.equal(2 * a, b)
        assert torch.equal(a, c)


def test_gradients_add_up_and_are_then_freed():
    arguments = case(0, (3, 2))
    total = sum(build_head().loss_by_feat(*arguments)["loss_cls"])
    for _ in range(3):
        total.backward(retain_graph=True)
    for scores in arguments[0]:
        scores.grad /= 3
    summed = [scores.grad.clone() for scores in arguments[0]]
    once = torch.autograd.grad(total, arguments[0])
    for a, b in zip(summed, once, strict=True):
        torch.testing.assert_close(a, b)
    with pytest.raises(RuntimeError, match="second time"):
        total.backward()


def test_no_default_box_on_a_picture():
    head = build_head()
    *rest, _ = case(0, (1, 1))
    with pytest.raises(ValueError, match=r"no default box .* pad_shape=\(0, 80\)"):
        head.loss_by_feat(*rest, metas((1, 1), ((64, 80), (0, 80))))


class OwnTargets(FocalSSDHead):
    def _get_targets_single(self, *args, **kwargs):
        return super()._get_targets_single(*args, **kwargs)


@pytest.mark.parametrize(
    "options",
    [
        dict(assigner=assigner_of(dict(ignore_iof_thr=0.5))),
        dict(assigner=assigner_of(dict(gpu_assign_thr=100))),
        dict(assigner=assigner_of(dict(perm_repeat_gt_cfg=dict(iou_thr=0.7, perm_range=0.01)))),
        dict(assigner=assigner_of(dict(iou_calculator=dict(type="BboxOverlaps2D", dtype="fp16")))),
        dict(assigner=dict(type="ATSSAssigner", topk=9)),
        dict(allowed_border=0),
        dict(sampler=dict(type="RandomSampler", num=8, pos_fraction=0.5)),
        dict(loss_bbox=dict(type="GIoULoss"), reg_decoded_bbox=True),
        dict(loss_bbox=dict(type="BalancedL1Loss")),
        dict(bbox_head="OwnTargets"),
    ],
    ids=lambda options: "-".join(map(str, options)),
)
def test_what_only_mmdet_does_is_left_to_it(options, monkeypatch):
    of_head = {key: options[key] for key in ("loss_bbox", "reg_decoded_bbox") if key in options}
    cfg = ConfigDict(TRAIN_CFG, **{k: v for k, v in options.items() if k in TRAIN_CFG})
    head = build_head(train_cfg=cfg, **of_head)
    if "bbox_head" in options:
        head.__class__ = OwnTargets
        head.batched = head._can_batch()
    assert not head.batched
    called = []
    monkeypatch.setattr(
        AnchorHead, "loss_by_feat", lambda self, *arguments: called.append(arguments) or {}
    )
    arguments = case(0, (2,))
    assert head.loss_by_feat(*arguments) == {}
    assert called[0][:4] == arguments


def test_a_head_without_training_options():
    assert not build_head(train_cfg=None).batched


def test_default_boxes_are_kept():
    head = build_head()
    keys = list(head.state_dict())
    first = head._priors(SIZES, "cpu")
    expected = torch.cat(head.prior_generator.grid_priors(list(SIZES), device="cpu"))
    assert torch.equal(first, expected)
    assert head._priors(list(SIZES), torch.device("cpu")) is first
    half = head._priors(SIZES, "cpu", torch.bfloat16)
    assert half.dtype == torch.bfloat16
    assert list(head.state_dict()) == keys
    for size in range(1, 3 * MAX_KEPT):
        assert len(head._priors([(size, size), (1, 1)], "cpu")) == 6 * (size**2 + 1)
    assert len(head._priors._kept) <= MAX_KEPT


@pytest.mark.parametrize("copy_of", [copy.deepcopy, lambda head: pickle.loads(pickle.dumps(head))])
def test_copies_keep_none(copy_of):
    head = build_head()
    arguments = case(0, (2, 0, 1))
    with torch.inference_mode():  # What it keeps must serve a training as well.
        head.loss_by_feat(*arguments)
    found = copy_of(head)
    assert found._priors.generator is found.prior_generator
    assert not found._priors._kept
    assert head._priors._kept
    assert_as_mmdet(head, arguments)
    assert_as_mmdet(found, arguments)


def test_processes_divide_by_their_mean_number_of_positive_boxes(monkeypatch):
    """As it is with the mean of the gradients, two then equal one with both their pictures."""
    head = build_head()
    both = case(3, (4, 1))
    whole, gradients = losses_and_gradients(FocalSSDHead.loss_by_feat, head, both)
    seen = []

    def run(counts):
        found = []
        for i in range(2):
            scores, offsets = (
                [each.detach()[i : i + 1].requires_grad_() for each in maps] for maps in both[:2]
            )
            one = (scores, offsets, both[2][i : i + 1], both[3][i : i + 1])
            monkeypatch.setattr(focal_ssd_head, "reduce_mean", counts)
            found.append(losses_and_gradients(FocalSSDHead.loss_by_feat, head, one))
        return found

    run(lambda value: seen.append(value) or value)
    assert seen[0] != seen[1]
    parts = run(lambda value: (seen[0] + seen[1]) / 2)
    for i, value in enumerate(whole):
        torch.testing.assert_close((parts[0][0][i] + parts[1][0][i]) / 2, value)
    for i, gradient in enumerate(gradients):
        torch.testing.assert_close(torch.cat([part[1][i] for part in parts]) / 2, gradient)
