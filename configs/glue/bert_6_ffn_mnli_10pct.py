_base_ = "../_base_/bert_mnli_10pct.py"
model = dict(num_layers=6, feed_forward="ffn")
