//! What a guest without a grant makes the host hold through `wasi:http/types`: bounded all the
//! same, because only sending takes the grant.

use wippy_model::{Exit, Limit, Value};
use wippy_wasm::{BinarySource, WasmSpec};

use crate::node::{Node, spec};

/// The guests share a memory with 60,000 times `a`, and do `step` `n` times. `imports` are what
/// `types` has, `functions` what of it is lowered as core functions of these types, both named.
fn bomb(version: &str, imports: &str, functions: &[(&str, &str, &str)], step: &str) -> WasmSpec {
    let each = |line: &dyn Fn(&(&str, &str, &str)) -> String| -> String {
        functions.iter().map(line).collect()
    };
    let lowered = each(&|(name, function, _)| {
        format!(
            "(core func ${name} (canon lower (func $t \"{function}\")
                (memory $mi \"memory\") (realloc (func $mi \"realloc\"))))\n"
        )
    });
    let imported = each(&|(name, _, ty)| format!("(import \"t\" \"{name}\" (func ${name} {ty}))"));
    let exported = each(&|(name, _, _)| format!("(export \"{name}\" (func ${name}))"));
    // An import that only engines with concurrency have.
    let clock = if version.starts_with("0.3") {
        "(import \"wasi:clocks/monotonic-clock@0.3.0\" (instance
            (export \"wait-for\" (func async (param \"how-long\" u64)))))"
    } else {
        ""
    };
    let text = format!(
        "(component
          {clock}
          (import \"wasi:http/types@{version}\" (instance $t {imports}))
          (core module $mem (memory (export \"memory\") 4)
            (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 200000)))
          (core instance $mi (instantiate $mem))
          {lowered}
          (core module $m
            (import \"m\" \"memory\" (memory 4))
            {imported}
            (func (export \"run\") (param $n i32) (result i32) (local $h i32)
              (memory.fill (i32.const 0) (i32.const 97) (i32.const 60000))
              (loop $l
                {step}
                (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
              (i32.load8_u (i32.const 100000))))
          (core instance $i (instantiate $m
            (with \"m\" (instance $mi)) (with \"t\" (instance {exported}))))
          (func (export \"run\") (param \"n\" u32) (result u32)
            (canon lift (core func $i \"run\"))))"
    );
    let bytes = wat::parse_str(text).unwrap();
    let mut spec = spec("bomb", Some("run"));
    spec.source = BinarySource::Bytes { name: "bomb.wat".to_owned(), bytes: bytes.into() };
    spec.limits.host_buffer_bytes = 1 << 20;
    spec
}

/// A few times fits, and gives 0 (no error); many times does not.
async fn is_bounded(what: &str, spec: WasmSpec) {
    let node = Node::new();
    let exit = node.run(spec.clone(), vec![Value::Int(5)]).await.unwrap();
    assert_eq!(exit, Exit::Normal(Value::Int(0)), "{what}");
    let exit = node.run(spec, vec![Value::Int(100)]).await.unwrap();
    let Exit::Limit(Limit::HostBuffer, error) = exit else { panic!("{what}: {exit:?}") };
    assert_eq!(
        error.message(),
        "test:bomb: its HTTP headers and bodies would take more than 1048576 bytes \
         (limits.host_buffer_bytes)",
        "{what}"
    );
}

const FIELDS: &str = "
    (export \"fields\" (type $fields (sub resource)))
    (export \"[constructor]fields\" (func (result (own $fields))))";

const APPEND: &str = "
    (export \"header-error\" (type $he (eq $hd)))
    (export \"[method]fields.append\" (func (param \"self\" (borrow $fields))
        (param \"name\" string) (param \"value\" (list u8)) (result (result (error $he)))))
    (export \"[method]fields.clone\" (func (param \"self\" (borrow $fields))
        (result (own $fields))))";

const ERROR_0_2: &str =
    "(type $hd (variant (case \"invalid-syntax\") (case \"forbidden\") (case \"immutable\")))";
const ERROR_0_3: &str =
    "(type $hd (variant (case \"invalid-syntax\") (case \"forbidden\") (case \"immutable\")
        (case \"size-exceeded\") (case \"other\" (option string))))";

const NEW: (&str, &str, &str) = ("new", "[constructor]fields", "(result i32)");
const APPENDED: (&str, &str, &str) =
    ("append", "[method]fields.append", "(param i32 i32 i32 i32 i32 i32)");
const CLONE: (&str, &str, &str) = ("clone", "[method]fields.clone", "(param i32) (result i32)");
const FILL: &str = "(local.set $h (call $new))
    (call $append (local.get $h) (i32.const 0) (i32.const 2) (i32.const 0) (i32.const 60000)
        (i32.const 100000))";

#[tokio::test]
async fn requests_are_bounded() {
    let text = "(option string)";
    for (function, ty, case) in
        [("set-method", "$method", 9), ("set-authority", text, 1), ("set-path-with-query", text, 1)]
    {
        let imports = format!(
            "{FIELDS}
             (export \"outgoing-request\" (type $request (sub resource)))
             (type $md (variant (case \"get\") (case \"head\") (case \"post\") (case \"put\")
                (case \"delete\") (case \"connect\") (case \"options\") (case \"trace\")
                (case \"patch\") (case \"other\" string)))
             (export \"method\" (type $method (eq $md)))
             (export \"[constructor]outgoing-request\" (func (param \"headers\" (own $fields))
                (result (own $request))))
             (export \"[method]outgoing-request.{function}\" (func
                (param \"self\" (borrow $request)) (param \"to\" {ty}) (result (result))))"
        );
        let setter = format!("[method]outgoing-request.{function}");
        let functions = [
            NEW,
            ("request", "[constructor]outgoing-request", "(param i32) (result i32)"),
            ("set", setter.as_str(), "(param i32 i32 i32 i32) (result i32)"),
        ];
        let first = u32::from(if function == "set-path-with-query" { '/' } else { 'a' });
        let step = format!(
            "(i32.store8 (i32.const 0) (i32.const {first}))
             (i32.store8 (i32.const 100000) (i32.or (i32.load8_u (i32.const 100000))
                (call $set (call $request (call $new)) (i32.const {case}) (i32.const 0)
                    (i32.const 60000))))"
        );
        is_bounded(function, bomb("0.2.0", &imports, &functions, &step)).await;
    }
}

#[tokio::test]
async fn responses_are_bounded() {
    let imports = format!(
        "{FIELDS} {ERROR_0_2} {APPEND}
         (export \"outgoing-response\" (type $response (sub resource)))
         (export \"[constructor]outgoing-response\" (func (param \"headers\" (own $fields))
            (result (own $response))))"
    );
    let response = ("response", "[constructor]outgoing-response", "(param i32) (result i32)");
    let step = format!("{FILL} (drop (call $response (local.get $h)))");
    let guest = bomb("0.2.0", &imports, &[NEW, APPENDED, response], &step);
    is_bounded("outgoing-response", guest).await;
}

#[tokio::test]
async fn fields_are_bounded() {
    for (version, error) in [("0.2.0", ERROR_0_2), ("0.3.0", ERROR_0_3)] {
        let imports = format!("{FIELDS} {error} {APPEND}");
        is_bounded(version, bomb(version, &imports, &[NEW, APPENDED], FILL)).await;
        // A copy is one at its first change, which costs little by itself.
        let step = format!(
            "(if (i32.eqz (local.get $h)) (then {FILL}))
             (call $append (call $clone (local.get $h)) (i32.const 0) (i32.const 1)
                (i32.const 0) (i32.const 1) (i32.const 100000))"
        );
        let guest = bomb(version, &imports, &[NEW, APPENDED, CLONE], &step);
        is_bounded(&format!("{version} copies"), guest).await;
    }
}
