_base_ = "../_base_/bert_sst2.py"
model = dict(num_layers=6, feed_forward="ffn")
