import json

import pytest

from colorizer.training.cluster import Cluster, read_cluster
from pipelines.errors import UsageError

A, B, C = "10.0.0.1:2222", "10.0.0.2:2222", "[::1]:2223"


def read(cluster, task) -> Cluster | None:
    return read_cluster({"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})})


def test_there_is_none_without_others():
    assert read_cluster({}) is None and read_cluster({"TF_CONFIG": " "}) is None
    assert read_cluster({"TF_CONFIG": "{}"}) is None
    assert read({"worker": [A]}, {"type": "worker", "index": 0}) is None


def test_workers_have_their_places():
    for index in range(3):
        found = read({"worker": [A, B, C]}, {"type": "worker", "index": index})
        assert found == Cluster((A, B, C), index)
    assert read({"worker": [A, B]}, {"type": "worker", "index": "1"}) == Cluster((A, B), 1)


def test_a_chief_comes_first():
    jobs = {"worker": [B, C], "chief": [A]}
    assert read(jobs, {"type": "chief", "index": 0}) == Cluster((A, B, C), 0)
    assert read(jobs, {"type": "worker", "index": 1}) == Cluster((A, B, C), 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "TF_CONFIG is not JSON"),
        ("[]", "must be an object"),
        ('{"cluster": [1]}', "host:port"),
        ('{"cluster": {"worker": "a:1"}}', "host:port"),
        ('{"cluster": {"worker": ["a", "b"]}}', "host:port"),
        ('{"cluster": {"worker": ["a:1", "b:1"], "ps": ["c:1"]}}', "has ps"),
        ('{"cluster": {"chief": ["a:1", "b:1"]}}', "more than one chief"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}}', "task None is none of worker 0, worker 1"),
        (
            '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
            "none of worker 0, worker 1",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(text, words):
    with pytest.raises(UsageError, match=words) as caught:
        read_cluster({"TF_CONFIG": text})
    assert len(str(caught.value).splitlines()) == 1
