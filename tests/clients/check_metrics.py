"""Reads metrics from stdin as Prometheus' own parser does, and checks what it does not: that histograms are whole and cumulated."""

import sys

from prometheus_client.parser import text_string_to_metric_families

families = list(text_string_to_metric_families(sys.stdin.read()))
assert families
for family in families:
    assert family.documentation and family.type != "unknown", family
    if family.type != "histogram":
        assert family.samples, family
        continue
    series = {}
    for sample in family.samples:
        labels = {name: value for name, value in sample.labels.items() if name != "le"}
        one = series.setdefault(tuple(sorted(labels.items())), {"buckets": []})
        if sample.name.endswith("_bucket"):
            one["buckets"].append((float(sample.labels["le"]), sample.value))
        else:
            one[sample.name.rsplit("_", 1)[1]] = sample.value
    for labels, one in series.items():
        counts = [count for _, count in sorted(one["buckets"])]
        assert counts == sorted(counts) and counts[-1] == one["count"] and one["sum"] >= 0, (family.name, labels)
        assert max(one["buckets"])[0] == float("inf")
print(" ".join(sorted(family.name for family in families)))
