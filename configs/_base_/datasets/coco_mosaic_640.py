# The same at 640x640.
_base_ = "coco_mosaic_320.py"
side = (640, 640)
train_pipeline = _base_.train_pipeline
train_pipeline[2].img_scale = side
train_pipeline[3].scale = (1280, 1280)
train_pipeline[4].crop_size = side
train_pipeline[7].size = side
train_pipeline[8].img_scale = side
pipeline_switch = _base_.pipeline_switch
pipeline_switch.switch_pipeline[2].scale = side
pipeline_switch.switch_pipeline[3].crop_size = side
pipeline_switch.switch_pipeline[6].size = side
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = side
test_pipeline[2].size = side
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
