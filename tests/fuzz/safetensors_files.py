"""SafeTensors files for folder_corpus.py: unusual ones that are right, and wrong ones, each with words of its refusal."""
import json
import struct


def file_of(header, data=b""):
    raw = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(raw)) + raw + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def one(members, data=bytes(8)):
    """A file of one tensor "w", its members as JSON text."""
    return file_of('{"w":{' + members + "}}", data)


RIGHT = '"dtype":"F32","shape":[2],"data_offsets":[0,8]'


def right_files():
    return {
        "seed": one(RIGHT),
        "no_tensors": file_of("{}"),
        "blanks_behind": file_of("{}" + " " * 62),
        "newlines_behind": file_of("{} \n\t\r"),
        "scalar": one('"dtype":"F64","shape":[],"data_offsets":[0,8]'),
        "no_elements": file_of(json.dumps({"a": entry(shape=(0,), offsets=(0, 0)), "b": entry(), "c": entry(shape=(3, 0), offsets=(8, 8))}), bytes(8)),
        "seven_dimensions": one('"dtype":"F32","shape":[1,1,2,1,1,1,1],"data_offsets":[0,8]'),
        "other_order": one('"data_offsets":[0,8],"dtype":"F32","shape":[2]'),
        "unknown_member": one(RIGHT + ',"extra":{"a":[{},[],null,1.5,"x"]}'),
        "metadata": file_of('{"__metadata__":{"format":"pt","a":""},"w":{' + RIGHT + "}}", bytes(8)),
        "metadata_empty": file_of('{"__metadata__":{}}'),
        "name_empty": file_of(json.dumps({"": entry()}), bytes(8)),
        "name_of_any_text": file_of(json.dumps({"\u00e9 \u2028\x1b[2J": entry()}), bytes(8)),
        "reversed": file_of(json.dumps({"b": entry(offsets=(8, 16)), "a": entry()}), bytes(16)),
        "half_bytes": file_of(json.dumps({"a": entry("F4", (4,), (0, 2)), "b": entry("F6_E2M3", (4,), (2, 5))}), bytes(5)),
        "every_dtype": file_of(json.dumps({d: entry(d, (8 // s,), (8 * i, 8 * i + 8)) for i, (d, s) in enumerate(
            [("BOOL", 1), ("U8", 1), ("I8", 1), ("F8_E5M2", 1), ("F8_E4M3", 1), ("F8_E8M0", 1), ("U16", 2), ("I16", 2), ("F16", 2), ("BF16", 2),
             ("U32", 4), ("I32", 4), ("F32", 4), ("U64", 8), ("I64", 8), ("F64", 8), ("C64", 8)])}), bytes(8 * 17)),
        "many_tensors": file_of(json.dumps({f"t{i}": entry("U8", (1,), (i, i + 1)) for i in range(2000)}), bytes(2000)),
    }


def wrong_files():
    """name -> (bytes, words of the refusal)."""
    whole = file_of('{"__metadata__":{"format":"pt"},"w":{' + RIGHT + "}}", bytes(8))
    out = {"empty": (b"", "is empty")}
    for size in (1, 4, 7):
        out[f"trunc_{size}"] = (whole[:size], "header length needs 8 bytes")
    for size in (8, 9, 20, 60):
        out[f"trunc_{size}"] = (whole[:size], "header needs")
    for size in (len(whole) - 8, len(whole) - 1):
        out[f"trunc_{size}"] = (whole[:size], "the data has")
    out["more_data"] = (whole + b"x", "cover 8 bytes of the data, which has 9")
    for value in (100_000_001, 2**32, 2**63, 2**64 - 1):
        out[f"length_{value}"] = (struct.pack("<Q", value) + b"{}", "at most 100000000")
    out["length_0"] = (struct.pack("<Q", 0) + b"{}", "begins with ''")
    out["length_one_more"] = (struct.pack("<Q", 3) + b"{}", "header needs 3 bytes")
    for name, header, words in [
            ("blank_before", " {}", "begins with ' '"), ("newline_before", "\n{}", "begins with"), ("bom_before", "\ufeff{}", "begins with"),
            ("array", "[]", "begins with '['"), ("string", '"a"', "begins with"), ("cut", '{"w":', "is not JSON"), ("two", "{}{}", "is not JSON"),
            ("text_behind", "{}x", "is not JSON"), ("zero_behind", "{}\0", "byte 2 is zero"), ("zero_and_text_behind", "{}\0{}", "byte 2 is zero"),
            ("single_quotes", "{'a':{}}", "is not JSON"), ("comment", "{/**/}", "is not JSON"), ("trailing_comma", '{"__metadata__":{},}', "is not JSON"),
            ("nan", '{"w":NaN}', "is not JSON"), ("tensor_null", '{"w":null}', "tensor 'w' is null"), ("tensor_number", '{"w":1}', "tensor 'w' is a number"),
            ("tensor_array", '{"w":[]}', "tensor 'w' is an array"), ("tensor_empty", '{"w":{}}', "tensor 'w' has no dtype"),
            ("metadata_number", '{"__metadata__":{"a":1}}', "only strings"), ("metadata_null", '{"__metadata__":{"a":null}}', "only strings"),
            ("metadata_object", '{"__metadata__":{"a":{}}}', "only strings"), ("metadata_string", '{"__metadata__":"a"}', "must be an object"),
            ("metadata_list", '{"__metadata__":[]}', "must be an object"), ("metadata_twice", '{"__metadata__":{},"__metadata__":{}}', "appears twice"),
            ("metadata_name_twice", '{"__metadata__":{"a":"","a":""}}', "has 'a' twice"), ("deep", "{" + '"a":{' * 5000 + "}" * 5001, "dtype|object|member|not JSON|has no|nested"),
            ("deep_arrays", '{"w":{"x":' + "[" * 5000 + "]" * 5000 + "}}", "nested deeper than 64")]:
        out[f"header_{name}"] = (file_of(header), words)
    out["header_not_utf8"] = (file_of(b'{"\xff":{}}'), "is not JSON")
    out["header_surrogate"] = (file_of('{"\\ud800":{}}'), "is not JSON")
    for name, members, words in [
            ("dtype_missing", '"shape":[2],"data_offsets":[0,8]', "has no dtype"), ("shape_missing", '"dtype":"F32","data_offsets":[0,8]', "has no shape"),
            ("offsets_missing", '"dtype":"F32","shape":[2]', "has no data_offsets"), ("dtype_unknown", '"dtype":"F33","shape":[2],"data_offsets":[0,8]', "does not know"),
            ("dtype_lower", '"dtype":"f32","shape":[2],"data_offsets":[0,8]', "does not know"), ("dtype_number", '"dtype":0,"shape":[2],"data_offsets":[0,8]', "dtype is a number"),
            ("dtype_null", '"dtype":null,"shape":[2],"data_offsets":[0,8]', "dtype is null"), ("shape_number", '"dtype":"F32","shape":2,"data_offsets":[0,8]', "shape is a number"),
            ("shape_negative", '"dtype":"F32","shape":[-2],"data_offsets":[0,8]', "negative"), ("shape_float", '"dtype":"F32","shape":[2.0],"data_offsets":[0,8]', "no integer"),
            ("shape_exponent", '"dtype":"F32","shape":[2e0],"data_offsets":[0,8]', "no integer"), ("shape_text", '"dtype":"F32","shape":["2"],"data_offsets":[0,8]', "a string"),
            ("shape_nested", '"dtype":"F32","shape":[[2]],"data_offsets":[0,8]', "an array"), ("shape_2_64", '"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,8]', "no integer"),
            ("shape_wraps", '"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]', "2^58"), ("shape_wraps_to_2", '"dtype":"F32","shape":[9223372036854775809,2],"data_offsets":[0,8]', "2^58"),
            ("shape_bytes_wrap", '"dtype":"F32","shape":[4611686018427387906],"data_offsets":[0,8]', "2^58"), ("shape_3", '"dtype":"F32","shape":[3],"data_offsets":[0,8]', "needs 12 bytes"),
            ("shape_1", '"dtype":"F32","shape":[1],"data_offsets":[0,8]', "needs 4 bytes"), ("shape_0", '"dtype":"F32","shape":[0],"data_offsets":[0,8]', "needs 0 bytes"),
            ("shape_half_byte", '"dtype":"F4","shape":[15],"data_offsets":[0,8]', "whole byte"), ("offsets_one", '"dtype":"F32","shape":[2],"data_offsets":[0]', "one number or none"),
            ("offsets_none", '"dtype":"F32","shape":[2],"data_offsets":[]', "one number or none"), ("offsets_three", '"dtype":"F32","shape":[2],"data_offsets":[0,8,8]', "more than two"),
            ("offsets_text", '"dtype":"F32","shape":[2],"data_offsets":["0",8]', "a string"), ("offsets_negative", '"dtype":"F32","shape":[2],"data_offsets":[-8,0]', "negative"),
            ("offsets_reversed", '"dtype":"F32","shape":[2],"data_offsets":[8,0]', "data_offsets 8 to 0"), ("offsets_past_the_end", '"dtype":"F32","shape":[2],"data_offsets":[0,9]', "the data has 8"),
            ("offsets_2_64", '"dtype":"F32","shape":[2],"data_offsets":[18446744073709551608,18446744073709551615]', "the data has 8"),
            ("offsets_hole", '"dtype":"F32","shape":[1],"data_offsets":[4,8]', "holes"), ("offsets_short", '"dtype":"F32","shape":[1],"data_offsets":[0,4]', "cover 4 bytes"),
            ("dtype_twice", RIGHT + ',"dtype":"F32"', "has 'dtype' twice"), ("unknown_twice", RIGHT + ',"x":1,"x":1', "has 'x' twice")]:
        out[f"member_{name}"] = (one(members), words)
    two = [("name_twice", '"w":{{{0}}},"w":{{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}', "'w' appears twice"),
           ("name_twice_by_escape", '"w":{{{0}}},"\\u0077":{{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}', "'w' appears twice"),
           ("overlap", '"w":{{{0}}},"v":{{"dtype":"F32","shape":[3],"data_offsets":[4,16]}}', "overlaps"),
           ("same_place", '"w":{{{0}}},"v":{{{0}}}', "overlaps"),
           ("hole_between", '"w":{{{0}}},"v":{{"dtype":"F32","shape":[1],"data_offsets":[12,16]}}', "holes")]
    for name, text, words in two:
        out[f"pair_{name}"] = (file_of("{" + text.format(RIGHT) + "}", bytes(16)), words)
    return out
