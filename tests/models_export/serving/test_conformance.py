"""The REST interface, statement by statement: request and answer as TensorFlow Serving gives it.

Written from its source: http_rest_api_handler.cc, http_rest_api_util.cc, json_tensor.cc,
get_model_status_impl.cc, server_core.cc and their tests.
"""

import json
import math

import pytest

from models_export.serving.rest import RestApi

MODEL = "/v1/models/half_plus_two"
PREDICT = f"{MODEL}:predict"

# Method, path, body, status, and the answer: a value, or a part of the message of an error.
URLS = [
    ("POST", PREDICT, '{"instances": [1.0]}', 200, {"predictions": [2.5]}),
    ("POST", f"{MODEL}/versions/123:predict", '{"instances": [1]}', 200, {"predictions": [2.5]}),
    ("POST", f"{MODEL}/versions/124:predict", '{"instances": [1]}', 200, {"predictions": [2.5]}),
    ("POST", f"{MODEL}/labels/stable:predict", '{"instances": [3]}', 200, {"predictions": [3.5]}),
    ("POST", "/V1/Models/half_plus_two:PREDICT", '{"inputs": [1]}', 200, {"outputs": [2.5]}),
    ("POST", "/v1/models/a%20model:predict", '{"inputs": [1]}', 200, {"outputs": [2.5]}),
    ("GET", PREDICT, "", 400, f"Malformed request: GET {PREDICT}"),
    ("PUT", PREDICT, "", 400, f"Malformed request: PUT {PREDICT}"),
    ("DELETE", MODEL, "", 400, f"Malformed request: DELETE {MODEL}"),
    ("POST", MODEL, "", 400, f"Malformed request: POST {MODEL}"),
    ("POST", "/v1/models", "", 400, "Malformed request: POST /v1/models"),
    ("GET", "/v1/models", "", 400, "Missing model name in request."),
    ("GET", "/v1/foo", "", 400, "Malformed request: GET /v1/foo"),
    ("POST", "/v1/foo", "", 400, "Malformed request: POST /v1/foo"),
    ("GET", "/v1/", "", 400, "Malformed request: GET /v1/"),
    ("GET", "/v1/models/", "", 400, "Malformed request: GET /v1/models/"),
    ("GET", "/v1/models/debug/name", "", 400, "Malformed request: GET /v1/models/debug/name"),
    ("POST", f"{MODEL}:explain", "", 400, "Malformed request: POST"),
    ("POST", f"{MODEL}/metadata", "", 400, "Malformed request: POST"),
    ("POST", f"{MODEL}/version/123:predict", "", 400, "Malformed request: POST"),
    ("POST", f"{MODEL}/versions/HELLO:predict", "", 400, "Malformed request: POST"),
    ("POST", f"{MODEL}/versions/-1:predict", "", 400, "Malformed request: POST"),
    ("POST", f"{MODEL}/versions/123/labels/stable:predict", "", 400, "Malformed request: POST"),
    ("POST", f"{MODEL}/label/stable:predict", "", 400, "Malformed request: POST"),
    (
        "POST",
        f"{MODEL}/versions/18446744073709551615:predict",
        "",
        400,
        "Failed to convert version: 18446744073709551615 to numeric.",
    ),
    (
        "POST",
        "/v1/models/foo:predict",
        '{"instances": [1]}',
        404,
        "Servable not found for request: Latest(foo)",
    ),
    (
        "POST",
        "/v1/models/foo/versions/50:predict",
        '{"instances": [1]}',
        404,
        "Servable not found for request: Specific(foo, 50)",
    ),
    (
        "POST",
        f"{MODEL}/versions/99:predict",
        '{"instances": [1]}',
        404,
        "Servable not found for request: Specific(half_plus_two, 99)",
    ),
    (
        "POST",
        f"{MODEL}/labels/none:predict",
        '{"instances": [1]}',
        400,
        "Unrecognized servable version label: none",
    ),
    (
        "POST",
        f"{MODEL}/labels/lost:predict",
        '{"instances": [1]}',
        404,
        "Servable not found for request: Specific(half_plus_two, 7)",
    ),
    ("GET", "/v1/models/foo", "", 404, "Could not find any versions of model foo"),
    ("GET", f"{MODEL}/versions/9", "", 404, "Could not find version 9 of model half_plus_two"),
    ("GET", f"{MODEL}/labels/none", "", 400, "Unrecognized servable version label: none"),
    ("GET", "/v1/models/foo/metadata", "", 404, "Servable not found for request: Latest(foo)"),
    (
        "GET",
        f"{MODEL}/versions/99/metadata",
        "",
        404,
        "Servable not found for request: Specific(half_plus_two, 99)",
    ),
    ("POST", f"{MODEL}:classify", "{}", 400, "Expected classification signature method_name"),
    ("POST", f"{MODEL}:regress", "{}", 400, "Expected regression signature method_name"),
    ("POST", "/v1/models/foo:regress", "{}", 404, "Servable not found for request: Latest(foo)"),
]

BODIES = [
    ("", 400, "JSON Parse error: The document is empty"),
    ("  ", 400, "JSON Parse error: The document is empty. at offset: 2"),
    ("instances = [1, 2]", 400, "JSON Parse error: Invalid value. at offset: 0"),
    ('{"instances": [1, 2', 400, "Missing a comma or ] after an array element. at offset: 19"),
    ('{"instances": [1] "a"', 400, "Missing a comma or } after an object member. at offset: 18"),
    ('{"instances" [1]}', 400, "Missing a colon after a name of object member. at offset: 13"),
    ("{instances: [1]}", 400, "Missing a name for object member. at offset: 1"),
    ('{"instances: [1]}', 400, "Missing a closing quotation mark in string."),
    ('{"instances": ["\\q"]}', 400, "Invalid escape character in string."),
    ("[1, 2]", 400, "JSON Value: [1, 2] Is not object"),
    ('"text"', 400, 'JSON Value: "text" Is not object'),
    ("{}", 400, "Missing 'inputs' or 'instances' key"),
    ('{"signature_name": 100}', 400, "'signature_name' key must be a string value."),
    (
        '{"signature_name": "x", "instances": [1]}',
        400,
        'Serving signature name: "x" not found in signature def',
    ),
    (
        '{"instances": [1], "inputs": [1]}',
        400,
        "expecting only one of 'inputs' or 'instances' keys to exist",
    ),
    ('{"instances": 1}', 400, "Expecting 'instances' to be an list/array"),
    ('{"instances": {"x": 1}}', 400, "Expecting 'instances' to be an list/array"),
    ('{"instances": []}', 400, "No values in 'instances' array"),
    # What follows the document is passed over.
    ('{"instances": [1]} and more', 200, {"predictions": [2.5]}),
    # Of two members with one name the first counts.
    ('{"instances": [1], "instances": [3]}', 200, {"predictions": [2.5]}),
    # Rows.
    ('{"instances": [1.0, 2.0]}', 200, {"predictions": [2.5, 3.0]}),
    ('{"instances": [{"x": 1.0}, {"x": 2}]}', 200, {"predictions": [2.5, 3.0]}),
    ('{"signature_name": "serving_default", "instances": [3]}', 200, {"predictions": [3.5]}),
    ('{"signature_name": "", "instances": [3]}', 200, {"predictions": [3.5]}),
    (
        '{"signature_name": "matrix", "instances": [[1, 2], [3, 4]]}',
        200,
        {"predictions": [[0.5, 1.0], [1.5, 2.0]]},
    ),
    (
        '{"signature_name": "two", "instances": [{"a": 1, "b": 2}, {"b": 4, "a": 3}]}',
        200,
        {"predictions": [{"total": 3.0, "twice": 4}, {"total": 7.0, "twice": 8}]},
    ),
    (
        '{"instances": ["x"]}',
        400,
        "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT:"
        ' JSON Value: "x" Type: String is not of expected type: float',
    ),
    ('{"instances": [1, true]}', 400, "JSON Value: true Type: True is not of expected type: float"),
    ('{"instances": [1, null]}', 400, "Type: Null is not of expected type: float"),
    (
        '{"instances": [1, {"a": 2}]}',
        400,
        "Expecting value/list but got object at item 1 of input list",
    ),
    (
        '{"instances": [{"x": 1}, [2]]}',
        400,
        "Expecting object but got list at item 1 of input list",
    ),
    (
        '{"instances": [{"z": 1}]}',
        400,
        "Failed to process element: 0 key: z of 'instances' list. Error: INVALID_ARGUMENT:"
        " JSON object: does not have named input: z",
    ),
    (
        '{"signature_name": "two", "instances": [{"a": 1}]}',
        400,
        "Failed to process element: 0 of 'instances' list. JSON object:"
        ' {\n    "a": 1\n} keys must be equal to: a,b',
    ),
    (
        '{"signature_name": "two", "instances": [1]}',
        400,
        "instances is a plain list, but expecting list of objects as multiple input tensors"
        " required as per tensorinfo_map",
    ),
    (
        '{"signature_name": "matrix", "instances": [[1, 2], [3]]}',
        400,
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT:"
        " Expecting tensor size: 2 but got: 1",
    ),
    (
        '{"signature_name": "matrix", "instances": [[[1, 2]], [[3], [4]]]}',
        400,
        "Expecting shape [1,2] but got: [2,1]",
    ),
    (
        '{"signature_name": "matrix", "instances": [[1, [2]]]}',
        400,
        "Encountered list at unexpected level: 1 expected < 1",
    ),
    (
        '{"signature_name": "matrix", "instances": [[[1], 2]]}',
        400,
        "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
    ),
    (
        '{"signature_name": "matrix", "instances": [[[1, 2], [3]]]}',
        400,
        "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
    ),
    ('{"signature_name": "two", "instances": [{"a": 1, "b": 1.0}]}', 400, "Type: Number is not of"),
    # Columns.
    ('{"inputs": [1.0, 2.0]}', 200, {"outputs": [2.5, 3.0]}),
    ('{"inputs": {"x": [1.0, 2.0]}}', 200, {"outputs": [2.5, 3.0]}),
    (
        '{"signature_name": "two", "inputs": {"a": [1, 3], "b": [2, 4], "more": 1}}',
        200,
        {"outputs": {"total": [3.0, 7.0], "twice": [4, 8]}},
    ),
    ('{"signature_name": "two", "inputs": {"a": [1]}}', 400, "Missing named input: b in 'inputs'"),
    (
        '{"signature_name": "two", "inputs": [1]}',
        400,
        "inputs is a plain value/list, but expecting an object as multiple input tensors required"
        " as per tensorinfo_map",
    ),
    ('{"inputs": [1, [2]]}', 400, "Encountered list at unexpected level: 1 expected < 1"),
    ('{"signature_name": "scalar", "inputs": [1, 2]}', 200, {"outputs": 3.0}),
    (
        '{"signature_name": "uneven", "inputs": [1, 2]}',
        200,
        {"outputs": {"all": [1, 2], "first": [1]}},
    ),
    (
        '{"signature_name": "uneven", "instances": [1, 2]}',
        400,
        "Tensor name: first has inconsistent batch size: 1 expecting: 2",
    ),
    ('{"signature_name": "scalar", "instances": [1]}', 400, "Tensor name: sum has no shape"),
    # Strings and bytes.
    (
        '{"signature_name": "strings", "instances": ["é", {"b64": "aGVsbG8="}]}',
        200,
        {
            "predictions": [
                {"same": "é", "same_bytes": {"b64": "w6k="}},
                {"same": "hello", "same_bytes": {"b64": "aGVsbG8="}},
            ]
        },
    ),
    (
        '{"signature_name": "strings", "inputs": {"b64": "aGVsbG8"}}',
        200,
        {"outputs": {"same": "hello", "same_bytes": {"b64": "aGVsbG8="}}},
    ),
    (
        '{"signature_name": "strings", "inputs": [{"b64": "aGVs bG8"}]}',
        200,
        {"outputs": {"same": ["hello"], "same_bytes": [{"b64": "aGVsbG8="}]}},
    ),
    ('{"signature_name": "strings", "inputs": [{"b64": "?"}]}', 400, "Unable to base64 decode"),
    ('{"signature_name": "strings", "inputs": [{"b64": "aGVsb"}]}', 400, "Unable to base64 decode"),
    (
        '{"signature_name": "strings", "inputs": [{"b64": "aGk=", "a": 1}]}',
        400,
        "not formatted correctly for base64 data",
    ),
    ('{"signature_name": "strings", "inputs": [{"b64": 1}]}', 400, "not formatted correctly"),
    ('{"signature_name": "strings", "inputs": [1]}', 400, "is not of expected type: string"),
    ('{"signature_name": "strings", "inputs": ["\\ud800"]}', 400, "surrogate pair in string"),
    # Types.
    (
        '{"signature_name": "kinds", "inputs":'
        ' {"bool": [true], "uint8": [255], "int64": [-9223372036854775808], "float64": [0.1]}}',
        200,
        {
            "outputs": {
                "bool": [True],
                "uint8": [255],
                "int64": [-9223372036854775808],
                "float64": [0.1],
            }
        },
    ),
    (
        '{"signature_name": "kinds", "inputs":'
        ' {"bool": [1], "uint8": [1], "int64": [1], "float64": [1]}}',
        400,
        "JSON Value: 1 Type: Number is not of expected type: bool",
    ),
    (
        '{"signature_name": "kinds", "inputs":'
        ' {"bool": [true], "uint8": [1.0], "int64": [1], "float64": [1]}}',
        400,
        "JSON Value: 1.0 Type: Number is not of expected type: uint8",
    ),
    (
        '{"signature_name": "kinds", "inputs":'
        ' {"bool": [true], "uint8": [1], "int64": [9223372036854775808], "float64": [1]}}',
        400,
        "is not of expected type: int64",
    ),
    ('{"signature_name": "half", "inputs": [1]}', 501, "to type: half"),
]


def answer(api: RestApi, method: str, path: str, body: str) -> tuple[int, object]:
    found = api.answer(method, path, body.encode())
    return found.http_status, json.loads(found.body)


def check(found: tuple[int, object], status: int, expected: object) -> None:
    code, content = found
    assert code == status, content
    if isinstance(expected, str):
        assert isinstance(content, dict) and set(content) == {"error"}
        assert expected in content["error"]
    else:
        assert content == expected


@pytest.mark.parametrize(("method", "path", "body", "status", "expected"), URLS)
def test_urls(api, method, path, body, status, expected):
    check(answer(api, method, path, body), status, expected)


@pytest.mark.parametrize(("body", "status", "expected"), BODIES)
def test_predict_bodies(api, body, status, expected):
    check(answer(api, "POST", PREDICT, body), status, expected)


def version_status(version: int) -> dict:
    status = {"error_code": "OK", "error_message": ""}
    return {"version": str(version), "state": "AVAILABLE", "status": status}


@pytest.mark.parametrize(
    ("path", "versions"),
    [("", [123, 124]), ("/versions/123", [123]), ("/labels/stable", [123])],
)
def test_status(api, path, versions):
    expected = {"model_version_status": [version_status(version) for version in versions]}
    check(answer(api, "GET", MODEL + path, ""), 200, expected)


@pytest.mark.parametrize(("path", "version"), [("", "124"), ("/versions/123", "123")])
def test_metadata(api, path, version):
    code, content = answer(api, "GET", f"{MODEL}{path}/metadata", "")
    assert code == 200
    assert content["model_spec"] == {
        "name": "half_plus_two",
        "signature_name": "",
        "version": version,
    }
    default = content["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert default["method_name"] == "tensorflow/serving/predict"
    assert default["defaults"] == {}
    (described,) = default["inputs"].values()
    assert described["dtype"] == "DT_FLOAT"
    assert described["tensor_shape"] == {
        "dim": [{"size": "-1", "name": ""}],
        "unknown_rank": False,
    }


@pytest.mark.parametrize(
    ("text", "written"),
    [("NaN", "NaN"), ("Infinity", "Infinity"), ("-Infinity", "-Infinity"), ("1e39", "Infinity")],
)
def test_numbers_that_are_not_finite_go_bare(api, text, written):
    found = api.answer("POST", PREDICT, b'{"inputs": [%s, 1]}' % text.encode())
    assert found.body == b'{"outputs": [%s,2.5]}' % written.encode()
    assert not math.isfinite(json.loads(found.body)["outputs"][0])


@pytest.mark.parametrize(
    ("x", "written"),
    [("0.4", b"2.2"), ("0", b"2.0"), ("-4", b"0.0"), ("2e20", b"1e+20"), ("0.2", b"2.1")],
)
def test_floats_have_the_fewest_digits_that_read_back(api, x, written):
    found = api.answer("POST", PREDICT, b'{"inputs": [%s]}' % x.encode())
    assert found.body == b'{"outputs": [%s]}' % written


def test_long_values_are_cut_off_in_messages(api):
    body = json.dumps({"instances": [{"x": {"y": list(range(1000))}}]})
    code, content = answer(api, "POST", PREDICT, body)
    assert code == 400 and len(content["error"]) < 500
