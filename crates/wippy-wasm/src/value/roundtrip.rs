//! Properties of the whole mapping, over random types: what goes in comes out again, as a
//! dynamic value, as WAVE text, and through the memory of a real component.

use proptest::prelude::*;
use wasmtime::component::{Component, Linker, Val};
use wasmtime::{Engine, Store};
use wippy_model::{Map, Value};

use super::{Method, Returned, Signature, Type, lift, lower, wave};

/// Names of fields and cases: words of WAVE and of WIT, with digits and capitals too.
const NAMES: [&str; 12] = [
    "a",
    "b2",
    "tag-count",
    "some",
    "none",
    "ok",
    "err",
    "true",
    "nan",
    "list",
    "HTTP-code",
    "inf",
];

fn names(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<String>> {
    let all: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    proptest::sample::subsequence(all, count).prop_shuffle()
}

fn any_type() -> impl Strategy<Value = Type> {
    let leaf = prop_oneof![
        proptest::sample::select(vec![
            Type::Bool,
            Type::U8,
            Type::U16,
            Type::U32,
            Type::U64,
            Type::S8,
            Type::S16,
            Type::S32,
            Type::S64,
            Type::F32,
            Type::F64,
            Type::Char,
            Type::String,
            Type::Bytes,
        ]),
        names(1..6).prop_map(|names| Type::Enum(names.into())),
        names(1..10).prop_map(|names| Type::Flags(names.into())),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let payload = proptest::option::of(inner.clone());
        let boxed = proptest::option::of(inner.clone().prop_map(Box::new));
        let fields = |count| {
            (names(1..5), proptest::collection::vec(inner.clone(), count))
                .prop_map(|(names, types)| names.into_iter().zip(types).collect())
        };
        prop_oneof![
            inner.clone().prop_map(list),
            option(inner.clone()),
            option(option(inner.clone())),
            option(option(option(inner.clone()))),
            fields(4).prop_map(Type::Record),
            proptest::collection::vec(inner.clone(), 1..4)
                .prop_map(|types| Type::Tuple(types.into())),
            (names(1..5), proptest::collection::vec(payload, 4)).prop_map(|(names, types)| {
                Type::Variant(names.into_iter().zip(types).collect())
            }),
            (boxed.clone(), boxed).prop_map(|(ok, err)| Type::Result(ok, err)),
        ]
    })
}

fn option(inner: impl Strategy<Value = Type>) -> impl Strategy<Value = Type> {
    inner.prop_map(|inner| Type::Option(Box::new(inner)))
}

fn list(item: Type) -> Type {
    match item {
        Type::U8 => Type::Bytes,
        item => Type::List(Box::new(item)),
    }
}

fn val_of(ty: &Type) -> BoxedStrategy<Val> {
    let payload = |ty: Option<&Type>| match ty {
        Some(ty) => val_of(ty).prop_map(|val| Some(Box::new(val))).boxed(),
        None => Just(None).boxed(),
    };
    match ty {
        Type::Bool => any::<bool>().prop_map(Val::Bool).boxed(),
        Type::U8 => any::<u8>().prop_map(Val::U8).boxed(),
        Type::U16 => any::<u16>().prop_map(Val::U16).boxed(),
        Type::U32 => any::<u32>().prop_map(Val::U32).boxed(),
        Type::U64 => any::<u64>().prop_map(Val::U64).boxed(),
        Type::S8 => any::<i8>().prop_map(Val::S8).boxed(),
        Type::S16 => any::<i16>().prop_map(Val::S16).boxed(),
        Type::S32 => any::<i32>().prop_map(Val::S32).boxed(),
        Type::S64 => any::<i64>().prop_map(Val::S64).boxed(),
        Type::F32 => any::<f32>().prop_map(Val::Float32).boxed(),
        Type::F64 => any::<f64>().prop_map(Val::Float64).boxed(),
        Type::Char => any::<char>().prop_map(Val::Char).boxed(),
        Type::String => any::<String>().prop_map(Val::String).boxed(),
        Type::Bytes => {
            let byte = any::<u8>().prop_map(Val::U8);
            proptest::collection::vec(byte, 0..8).prop_map(Val::List).boxed()
        }
        Type::List(item) => {
            proptest::collection::vec(val_of(item), 0..4).prop_map(Val::List).boxed()
        }
        Type::Tuple(types) => {
            types.iter().map(val_of).collect::<Vec<_>>().prop_map(Val::Tuple).boxed()
        }
        Type::Record(fields) => {
            let names: Vec<_> = fields.iter().map(|(name, _)| name.clone()).collect();
            let vals: Vec<_> = fields.iter().map(|(_, ty)| val_of(ty)).collect();
            vals.prop_map(move |vals| Val::Record(names.iter().cloned().zip(vals).collect()))
                .boxed()
        }
        Type::Variant(cases) => {
            let cases = cases.iter().map(|(name, ty)| {
                let name = name.clone();
                payload(ty.as_ref()).prop_map(move |val| Val::Variant(name.clone(), val)).boxed()
            });
            proptest::strategy::Union::new(cases).boxed()
        }
        Type::Enum(names) => proptest::sample::select(names.to_vec()).prop_map(Val::Enum).boxed(),
        Type::Flags(names) => {
            let count = 0..=names.len();
            proptest::sample::subsequence(names.to_vec(), count).prop_map(Val::Flags).boxed()
        }
        Type::Option(inner) => prop_oneof![
            Just(Val::Option(None)),
            val_of(inner).prop_map(|val| Val::Option(Some(Box::new(val)))),
        ]
        .boxed(),
        Type::Result(ok, err) => prop_oneof![
            payload(ok.as_deref()).prop_map(|val| Val::Result(Ok(val))),
            payload(err.as_deref()).prop_map(|val| Val::Result(Err(val))),
        ]
        .boxed(),
        other => panic!("no values of {other}"),
    }
}

fn typed_val() -> impl Strategy<Value = (Type, Val)> {
    any_type().prop_flat_map(|ty| {
        let val = val_of(&ty);
        (Just(ty), val)
    })
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<u64>().prop_map(Value::from),
        (-2_i64..300).prop_map(Value::Int),
        any::<f64>().prop_map(Value::Float),
        proptest::sample::select(NAMES.to_vec()).prop_map(Value::from),
        any::<String>().prop_map(Value::String),
        any::<Vec<u8>>().prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            (names(0..4), proptest::collection::vec(inner, 4))
                .prop_map(|(names, values)| Value::Map(names.into_iter().zip(values).collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_lifted_lowers_again((ty, val) in typed_val()) {
        let value = lift(val.clone(), &ty).unwrap();
        prop_assert_eq!(lower(value.clone(), &ty).unwrap(), val, "{} as {:?}", ty, value);
    }

    #[test]
    fn what_is_printed_parses_again((ty, val) in typed_val()) {
        let text = wave::print(&lift(val.clone(), &ty).unwrap(), Some(&ty));
        let read = wave::parse(&text, &ty).map_err(|error| format!("{ty}: {text}: {error}"));
        prop_assert_eq!(lower(read.unwrap(), &ty).unwrap(), val, "{} as {}", ty, text);
    }

    /// Any value at all: refused in words, or taken and then stable.
    #[test]
    fn any_value_is_taken_or_refused(ty in any_type(), value in any_value()) {
        if let Ok(val) = lower(value, &ty) {
            let lifted = lift(val.clone(), &ty).unwrap();
            prop_assert_eq!(lower(lifted, &ty).unwrap(), val);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(ty in any_type(), text in "[-%'\"a-c01{}\\[\\](),:. \\\\n☃]{0,20}") {
        if let Ok(value) = wave::parse(&text, &ty) {
            lower(value, &ty).unwrap();
        }
    }
}

proptest! {
    // Each case compiles a component.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_goes_through_a_guest_comes_back((ty, val) in typed_val()) {
        let value = lift(val.clone(), &ty).unwrap();
        let (shown, returned) = echo(&ty, value.clone());
        prop_assert_eq!(shown, ty.clone());
        prop_assert_eq!(lower(returned, &ty).unwrap(), val, "{} as {:?}", ty, value);
    }
}

/// Sends a value through a component made for its type; gives the type that wasmtime
/// reports and the value that came back.
///
/// The function takes and returns the value beside seventeen numbers: that many flat values
/// are passed by pointer both ways, so that the core function is the identity for any type.
fn echo(ty: &Type, value: Value) -> (Type, Value) {
    let engine = Engine::default();
    let component = Component::new(&engine, encode(ty)).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &component).unwrap();
    let func = instance.get_func(&mut store, "echo").unwrap();
    let method = Method::new(Signature::new("echo", &func.ty(&store)).unwrap());
    let mut items = vec![value];
    items.resize(18, Value::Int(7));
    let args = method.prepare(vec![Value::List(items.clone())]).unwrap();
    let returned = ready(method.call(&mut store, &func, args)).unwrap();
    let Returned::Value(Value::List(mut back)) = returned else { panic!("{returned:?}") };
    assert_eq!(back[1..], items[1..]);
    let Some(Type::Tuple(types)) = &method.signature().result else { panic!() };
    (types[0].clone(), back.swap_remove(0))
}

fn encode(ty: &Type) -> Vec<u8> {
    let mut types = Vec::new();
    let shown = declare(ty, &mut types);
    let types = types.concat();
    let tuple = format!("tuple<{shown}{}>", ", u64".repeat(17));
    component(
        &format!("{types} export echo: func(v: {tuple}) -> {tuple};"),
        r#"(func (export "echo") (param i32) (result i32) (local.get 0))"#,
    )
}

/// A component with a world of this WIT, made of a module with these functions.
pub(super) fn component(wit: &str, functions: &str) -> Vec<u8> {
    let wit = format!("package t:t; world w {{ {wit} }}");
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_str("t.wit", &wit).unwrap_or_else(|e| panic!("{wit}: {e:?}"));
    let world = resolve.select_world(&[package], None).unwrap();
    let mut module = wat::parse_str(format!(
        r#"(module
            (memory (export "memory") 64)
            (global $next (mut i32) (i32.const 2048))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and
                    (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
                (global.set $next (i32.add (local.get $at) (local.get 3)))
                (local.get $at))
            {functions})"#
    ))
    .unwrap();
    wit_component::embed_component_metadata(
        &mut module,
        &resolve,
        world,
        wit_component::StringEncoding::UTF8,
    )
    .unwrap();
    let encoder = wit_component::ComponentEncoder::default().module(&module).unwrap();
    encoder.validate(true).encode().unwrap()
}

/// The WIT of a type, with what needs a name declared before it.
fn declare(ty: &Type, types: &mut Vec<String>) -> String {
    let named = |kind: &str, body: String, types: &mut Vec<String>| {
        let name = format!("t{}", types.len());
        types.push(format!("{kind} {name} {{ {body} }} "));
        name
    };
    let join = |parts: Vec<String>| parts.join(", ");
    match ty {
        Type::List(item) => format!("list<{}>", declare(item, types)),
        Type::Option(inner) => format!("option<{}>", declare(inner, types)),
        Type::Tuple(items) => {
            format!("tuple<{}>", join(items.iter().map(|ty| declare(ty, types)).collect()))
        }
        Type::Result(ok, err) => {
            let mut arm =
                |ty: &Option<Box<Type>>| ty.as_ref().map_or("_".into(), |ty| declare(ty, types));
            match (arm(ok), arm(err)) {
                (ok, err) if ok == "_" && err == "_" => "result".to_owned(),
                (ok, err) if err == "_" => format!("result<{ok}>"),
                (ok, err) => format!("result<{ok}, {err}>"),
            }
        }
        Type::Record(fields) => {
            let fields = fields.iter().map(|(name, ty)| format!("%{name}: {}", declare(ty, types)));
            let body = join(fields.collect());
            named("record", body, types)
        }
        Type::Variant(cases) => {
            let cases = cases.iter().map(|(name, ty)| match ty {
                Some(ty) => format!("%{name}({})", declare(ty, types)),
                None => format!("%{name}"),
            });
            let body = join(cases.collect());
            named("variant", body, types)
        }
        Type::Enum(names) | Type::Flags(names) => {
            let kind = if matches!(ty, Type::Enum(_)) { "enum" } else { "flags" };
            let body = join(names.iter().map(|name| format!("%{name}")).collect());
            named(kind, body, types)
        }
        scalar => scalar.to_string(),
    }
}

/// Runs a future that waits for nothing.
pub(super) fn ready<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(future)
}

#[test]
fn nested_options() {
    let deep = |levels| (0..levels).fold(Type::U32, |ty, _| Type::Option(Box::new(ty)));
    let wrapped = |value| Value::Map(Map::from_iter([("some".to_owned(), value)]));
    let some = |val| Val::Option(Some(Box::new(val)));
    let none = Val::Option(None);
    for (levels, val, value) in [
        (1, none.clone(), Value::Nil),
        (1, some(Val::U32(1)), Value::Int(1)),
        (2, none.clone(), Value::Nil),
        (2, some(none.clone()), Value::Null),
        (2, some(some(Val::U32(1))), Value::Int(1)),
        (3, none.clone(), Value::Nil),
        (3, some(none.clone()), Value::Null),
        (3, some(some(none.clone())), wrapped(Value::Null)),
        (3, some(some(some(Val::U32(1)))), wrapped(Value::Int(1))),
        (4, some(some(some(none.clone()))), wrapped(wrapped(Value::Null))),
    ] {
        let ty = deep(levels);
        assert_eq!(lift(val.clone(), &ty).unwrap(), value, "{val:?}");
        assert_eq!(lower(value, &ty).unwrap(), val);
    }
    // Taken, but never made.
    assert_eq!(lower(Value::Null, &deep(1)).unwrap(), none);
    assert_eq!(lower(Value::Int(1), &deep(3)).unwrap(), some(some(some(Val::U32(1)))));
}

#[test]
fn nothing_is_absent_inside_lists_and_payloads() {
    let option = Type::Option(Box::new(Type::U32));
    let none = Val::Option(None);
    let list = Type::List(Box::new(option.clone()));
    let lifted = lift(Val::List(vec![none.clone()]), &list).unwrap();
    assert_eq!(lifted, Value::List(vec![Value::Null]));
    let result = Type::Result(Some(Box::new(option)), None);
    let lifted = lift(Val::Result(Ok(Some(Box::new(none)))), &result).unwrap();
    assert_eq!(lifted, Value::map([("ok", Value::Null)]));
}
