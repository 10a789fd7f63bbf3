//! Tables of what is taken, what is refused, and the words for it.

use super::*;

fn record(fields: &[(&str, Type)]) -> Type {
    Type::Record(fields.iter().map(|(name, ty)| ((*name).to_owned(), ty.clone())).collect())
}

fn names(names: &[&str]) -> Box<[String]> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn list(item: Type) -> Type {
    Type::List(Box::new(item))
}

fn option(inner: Type) -> Type {
    Type::Option(Box::new(inner))
}

fn item() -> Type {
    record(&[
        ("name", Type::String),
        ("tag-count", Type::U32),
        ("note", option(Type::String)),
        ("age", option(Type::U32)),
    ])
}

fn shape() -> Type {
    Type::Variant([("circle".into(), Some(Type::F64)), ("labelled-shape".into(), None)].into())
}

fn result() -> Type {
    Type::Result(Some(Box::new(Type::U32)), None)
}

fn json(text: &str) -> Value {
    Value::parse_json(text).unwrap()
}

fn func(params: &[(&str, Type)]) -> Signature {
    Signature {
        name: "f".into(),
        is_async: false,
        params: params.iter().map(|(name, ty)| ((*name).into(), ty.clone())).collect(),
        result: None,
    }
}

#[test]
fn what_does_not_fit_is_refused_in_words() {
    let colors = Type::Enum(names(&["red", "dark-blue"]));
    let flags = Type::Flags(names(&["read", "run-as-root"]));
    let users = list(record(&[("age", Type::U32)]));
    let long = "ä".repeat(50);
    for (ty, value, message) in [
        (Type::Bool, json("1"), "expected bool, got integer 1"),
        (Type::U8, json("256"), "expected u8 (0 to 255), got integer 256"),
        (Type::S8, json("-129"), "expected s8 (-128 to 127), got integer -129"),
        (Type::U32, json("-1"), "expected u32 (0 to 4294967295), got integer -1"),
        (
            Type::S64,
            Value::UInt(u64::MAX),
            "expected s64 (-9223372036854775808 to 9223372036854775807), \
             got integer 18446744073709551615",
        ),
        (
            Type::U64,
            Value::Float(1e300),
            "expected u64 (0 to 18446744073709551615), got number 1e300",
        ),
        (
            Type::I32,
            json("4294967296"),
            "expected s32 (-2147483648 to 4294967295), got integer 4294967296",
        ),
        (Type::U32, json("1.5"), "expected u32, got number 1.5"),
        (Type::U32, Value::Float(f64::NAN), "expected u32, got number NaN"),
        (Type::S32, Value::Float(f64::INFINITY), "expected s32, got number inf"),
        (Type::U32, json("\"6\""), "expected u32, got string \"6\""),
        (Type::F64, json("\"x\""), "expected f64, got string \"x\""),
        (Type::F32, json("1e300"), "expected f32 (up to 3.4028235e38), got number 1e300"),
        (
            Type::Char,
            json("\"ab\""),
            "expected char (a string of one character), got string \"ab\"",
        ),
        (Type::Char, json("\"\""), "expected char (a string of one character), got string \"\""),
        (Type::String, json("1"), "expected string, got integer 1"),
        (
            Type::String,
            Value::Bytes(vec![255, 0]),
            "expected string, got 2 bytes that are not UTF-8",
        ),
        (
            Type::U8,
            Value::from(&*long),
            &format!("expected u8, got string \"{}…\"", "ä".repeat(40)),
        ),
        (Type::Bytes, json("[1, 256]"), "[2]: expected u8 (0 to 255), got integer 256"),
        (Type::Bytes, json("true"), "expected list<u8>, got bool true"),
        (list(Type::U32), json("{\"a\": 1}"), "expected list<u32>, got map with \"a\""),
        (list(Type::U32), Value::Nil, "expected list<u32>, got nil"),
        (list(Type::U32), json("[1, null]"), "[2]: expected u32, got null"),
        (
            users.clone(),
            json("[{\"age\":1},{\"age\":\"x\"}]"),
            "[2].age: expected u32, got string \"x\"",
        ),
        (users, json("[{}]"), "[1].age: expected u32, but the field is missing"),
        (
            Type::Tuple([Type::U32, Type::Bool].into()),
            json("[1]"),
            "expected a list of exactly 2 for tuple<u32, bool>, got list of 1",
        ),
        (
            Type::Tuple([Type::U32, Type::Bool].into()),
            json("[1, 2]"),
            "[2]: expected bool, got integer 2",
        ),
        (
            item(),
            json("[1]"),
            "expected record { name: string, tag-count: u32, note: option<string>, \
             age: option<u32> }, got list of 1",
        ),
        (
            item(),
            json("{\"name\":\"x\",\"tag-coutn\":1}"),
            "unknown field \"tag-coutn\", did you mean \"tag-count\"?",
        ),
        (
            item(),
            json("{\"name\":\"x\",\"tag-count\":1,\"Note\":\"y\"}"),
            "unknown field \"Note\", did you mean \"note\"?",
        ),
        (
            item(),
            json("{\"name\":\"x\",\"other\":1}"),
            ".tag-count: expected u32, but the field is missing",
        ),
        (
            item(),
            json("{\"name\":\"x\",\"tag_count\":true}"),
            ".tag-count: expected u32, got bool true",
        ),
        (
            colors.clone(),
            json("2"),
            "expected an index from 0 to 1 into enum { red, dark-blue }, got integer 2",
        ),
        (
            colors.clone(),
            json("-1"),
            "expected an index from 0 to 1 into enum { red, dark-blue }, got integer -1",
        ),
        (colors.clone(), json("\"rde\""), "unknown case \"rde\", did you mean \"red\"?"),
        (colors.clone(), json("\"green\""), "unknown case \"green\", there are red, dark-blue"),
        (colors, json("true"), "expected enum { red, dark-blue }, got bool true"),
        (
            flags.clone(),
            json("[\"read\",\"wriet\"]"),
            "[2]: unknown flag \"wriet\", there are read, run-as-root",
        ),
        (flags.clone(), json("[1]"), "[1]: expected the name of a flag, got integer 1"),
        (flags.clone(), json("{\"read\":1}"), ".read: expected bool, got integer 1"),
        (flags, json("\"read\""), "expected flags { read, run-as-root }, got string \"read\""),
        (shape(), json("{}"), "expected variant { circle(f64), labelled-shape }, got empty map"),
        (
            shape(),
            json("{\"circle\":1,\"b\":2}"),
            "expected one case of variant { circle(f64), labelled-shape }, \
             got map with \"circle\", \"b\"",
        ),
        (shape(), json("\"circle\""), "case \"circle\" needs a payload: {circle = f64}"),
        (shape(), json("{\"circle\":\"x\"}"), ".circle: expected f64, got string \"x\""),
        (shape(), json("{\"cicle\":1}"), "unknown case \"cicle\", did you mean \"circle\"?"),
        (
            shape(),
            json("{\"labelled-shape\":1}"),
            ".labelled-shape: expected true, because this case has no payload, got integer 1",
        ),
        (shape(), json("1"), "expected variant { circle(f64), labelled-shape }, got integer 1"),
        (result(), json("7"), "expected result<u32>, got integer 7"),
        (result(), json("{\"ok\":-1}"), ".ok: expected u32 (0 to 4294967295), got integer -1"),
        (result(), json("{\"error\":1}"), "unknown case \"error\", there are ok, err"),
        (option(Type::U32), json("\"x\""), "expected u32, got string \"x\""),
        (Type::Own, json("1"), "own<resource> cannot be passed here"),
        (Type::Stream(Some(Box::new(Type::U8))), json("1"), "stream<u8> cannot be passed here"),
    ] {
        let shown = format!("{value:?} as {ty}");
        let error = lower(value, &ty).expect_err(&shown);
        assert_eq!(error.message(), message, "{shown}");
        assert_eq!(error.kind(), wippy_model::Kind::Invalid);
    }
}

#[test]
fn what_fits_is_taken() {
    let flags = Type::Flags(names(&["read", "write", "run-as-root"]));
    let none = || Val::Option(None);
    let some = |val| Val::Option(Some(Box::new(val)));
    let whole = Val::Record(vec![
        ("name".into(), Val::String("x".into())),
        ("tag-count".into(), Val::U32(2)),
        ("note".into(), none()),
        ("age".into(), some(Val::U32(3))),
    ]);
    for (ty, value, val) in [
        (Type::U8, json("255"), Val::U8(255)),
        (Type::U8, json("7.0"), Val::U8(7)),
        (Type::U64, Value::UInt(u64::MAX), Val::U64(u64::MAX)),
        (Type::I32, json("4294967295"), Val::S32(-1)),
        (Type::I64, Value::UInt(u64::MAX), Val::S64(-1)),
        (Type::F64, json("1"), Val::Float64(1.0)),
        (Type::F32, Value::Float(f64::INFINITY), Val::Float32(f32::INFINITY)),
        (Type::Char, json("\"ä\""), Val::Char('ä')),
        (Type::String, Value::Bytes(b"x".to_vec()), Val::String("x".into())),
        (Type::Bytes, json("\"ab\""), Val::List(vec![Val::U8(97), Val::U8(98)])),
        (Type::Bytes, json("[1, 2.0]"), Val::List(vec![Val::U8(1), Val::U8(2)])),
        (Type::Bytes, json("{}"), Val::List(vec![])),
        (list(Type::U32), json("{}"), Val::List(vec![])),
        (item(), json("{\"age\":3,\"tag_count\":2,\"name\":\"x\",\"unlike\":1}"), whole.clone()),
        (item(), json("{\"name\":\"x\",\"tag-count\":2,\"tag_count\":9,\"age\":3}"), whole),
        (record(&[("a", option(Type::U8))]), json("[]"), Val::Record(vec![("a".into(), none())])),
        (shape(), json("\"labelled_shape\""), Val::Variant("labelled-shape".into(), None)),
        (shape(), json("{\"labelled-shape\":true}"), Val::Variant("labelled-shape".into(), None)),
        (
            shape(),
            json("{\"circle\":2}"),
            Val::Variant("circle".into(), Some(Box::new(Val::Float64(2.0)))),
        ),
        (result(), json("{\"ok\":1}"), Val::Result(Ok(Some(Box::new(Val::U32(1)))))),
        (result(), json("{\"err\":true}"), Val::Result(Err(None))),
        (result(), json("\"err\""), Val::Result(Err(None))),
        (flags.clone(), json("[\"run_as_root\"]"), Val::Flags(vec!["run-as-root".into()])),
        (
            flags.clone(),
            json("{\"write\":true,\"read\":true,\"run-as-root\":false}"),
            Val::Flags(vec!["read".into(), "write".into()]),
        ),
        (flags, json("{}"), Val::Flags(vec![])),
        (Type::Enum(names(&["red", "dark-blue"])), json("1"), Val::Enum("dark-blue".into())),
        (
            Type::Enum(names(&["red", "dark-blue"])),
            json("\"dark_blue\""),
            Val::Enum("dark-blue".into()),
        ),
    ] {
        let shown = format!("{value:?} as {ty}");
        assert_eq!(lower(value, &ty).expect(&shown), val, "{shown}");
    }
}

#[test]
fn arguments_are_named_and_counted() {
    let users = list(record(&[("age", Type::U32)]));
    let signature = func(&[("users", users), ("b", Type::S32)]);
    for (args, message) in [
        (
            json("[[{\"age\":1},{\"age\":\"x\"}], 1]"),
            "argument 1 \"users\"[2].age: expected u32, got string \"x\"",
        ),
        (json("[[], \"x\"]"), "argument 2 \"b\": expected s32, got string \"x\""),
        (
            json("[1]"),
            "f takes 2 arguments, got 1; the signature is \
             f: func(users: list<record { age: u32 }>, b: s32)",
        ),
    ] {
        let Value::List(args) = args else { panic!() };
        assert_eq!(lower_args(&signature, args).unwrap_err().message(), message);
    }
    let error = lower_args(&func(&[]), vec![Value::Nil]).unwrap_err();
    assert_eq!(error.message(), "f takes no arguments, got 1; the signature is f: func()");
}

#[test]
fn what_is_too_large_is_refused_before_it_is_made() {
    let bytes = Value::Bytes(vec![0; LOWERED_BYTES_MAX / size_of::<Val>() + 1]);
    let signature = func(&[("data", record(&[("bytes", Type::Bytes)]))]);
    let error = lower_args(&signature, vec![Value::map([("bytes", bytes)])]).unwrap_err();
    assert_eq!(
        error.message(),
        "argument 1 \"data\".bytes: too large: the arguments take more than 256 MiB to pass"
    );
}
