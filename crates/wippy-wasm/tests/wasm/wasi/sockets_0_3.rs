//! What is ours in `wasi:sockets` of WASI 0.3: the count of sockets, and names.

use wippy_model::Value;
use wippy_wasm::{BinarySource, WasmSpec};

use super::network::{Policy, call, granted, int, text};
use crate::node::{Node, spec};

/// `open` creates three sockets and counts those it gets; `resolve` gives 0 for a name that is
/// resolved at once, else 1 and the case of the error.
const GUEST: &str = r#"
(component
  (import "wasi:sockets/types@0.3.0" (instance $types
    (export "tcp-socket" (type $tcp (sub resource)))
    (export "udp-socket" (type $udp (sub resource)))
    (type $f (enum "ipv4" "ipv6"))
    (export "ip-address-family" (type $family (eq $f)))
    (type $v4 (tuple u8 u8 u8 u8))
    (export "ipv4-address" (type $ipv4 (eq $v4)))
    (type $v6 (tuple u16 u16 u16 u16 u16 u16 u16 u16))
    (export "ipv6-address" (type $ipv6 (eq $v6)))
    (type $a (variant (case "ipv4" $ipv4) (case "ipv6" $ipv6)))
    (export "ip-address" (type $address (eq $a)))
    (type $e (variant
      (case "access-denied") (case "not-supported") (case "invalid-argument")
      (case "out-of-memory") (case "timeout") (case "invalid-state")
      (case "address-not-bindable") (case "address-in-use") (case "remote-unreachable")
      (case "connection-refused") (case "connection-broken") (case "connection-reset")
      (case "connection-aborted") (case "datagram-too-large") (case "other" (option string))))
    (export "error-code" (type $code (eq $e)))
    (export "[static]tcp-socket.create"
      (func (param "address-family" $family) (result (result (own $tcp) (error $code)))))
    (export "[static]udp-socket.create"
      (func (param "address-family" $family) (result (result (own $udp) (error $code)))))))
  (alias export $types "ip-address" (type $address))
  (import "wasi:sockets/ip-name-lookup@0.3.0" (instance $names
    (export "ip-address" (type $a (eq $address)))
    (type $e (variant
      (case "access-denied") (case "invalid-argument") (case "name-unresolvable")
      (case "temporary-resolver-failure") (case "permanent-resolver-failure")
      (case "other" (option string))))
    (export "error-code" (type $code (eq $e)))
    (export "resolve-addresses"
      (func async (param "name" string) (result (result (list $a) (error $code)))))))

  (core module $libc
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (global.set $next (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.get $next)
      (global.set $next (i32.add (global.get $next) (local.get 3)))))
  (core instance $libc (instantiate $libc))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))
  (core func $tcp (canon lower (func $types "[static]tcp-socket.create")
    (memory $memory) (realloc $realloc)))
  (core func $udp (canon lower (func $types "[static]udp-socket.create")
    (memory $memory) (realloc $realloc)))
  (core func $resolve (canon lower (func $names "resolve-addresses") async
    (memory $memory) (realloc $realloc)))

  (core module $m
    (import "libc" "memory" (memory 1))
    (import "host" "tcp" (func $tcp (param i32 i32)))
    (import "host" "udp" (func $udp (param i32 i32)))
    (import "host" "resolve" (func $resolve (param i32 i32 i32) (result i32)))
    (func (export "open") (result i32)
      (call $tcp (i32.const 0) (i32.const 0))
      (call $udp (i32.const 0) (i32.const 64))
      (call $tcp (i32.const 0) (i32.const 128))
      (i32.eqz (i32.load8_u (i32.const 0)))
      (i32.eqz (i32.load8_u (i32.const 64)))
      (i32.eqz (i32.load8_u (i32.const 128)))
      i32.add i32.add)
    (func (export "resolve") (param i32 i32) (result i32)
      ;; Returned at once, or it would still be under way.
      (if (i32.ne (call $resolve (local.get 0) (local.get 1) (i32.const 0)) (i32.const 2))
        (then unreachable))
      (if (result i32) (i32.load8_u (i32.const 0))
        (then (i32.add (i32.const 10) (i32.load8_u (i32.const 4))))
        (else (i32.const 0)))))
  (core instance $i (instantiate $m
    (with "libc" (instance $libc))
    (with "host" (instance
      (export "tcp" (func $tcp)) (export "udp" (func $udp)) (export "resolve" (func $resolve))))))
  (func (export "open") (result u32) (canon lift (core func $i "open")))
  (func (export "resolve") (param "name" string) (result u32)
    (canon lift (core func $i "resolve") (memory $memory) (realloc $realloc))))
"#;

fn guest(mut spec: WasmSpec) -> WasmSpec {
    let bytes = wat::parse_str(GUEST).unwrap();
    spec.source = BinarySource::Bytes { name: "sockets-0-3.wat".to_owned(), bytes: bytes.into() };
    spec
}

async fn value(node: &Node, spec: WasmSpec, args: Vec<Value>) -> Value {
    call(node, guest(spec), args).await.unwrap()
}

#[tokio::test]
async fn sockets_are_granted_and_counted() {
    let node = Node::new();
    assert_eq!(value(&node, spec("sockets", Some("open")), vec![]).await, int(0));
    assert_eq!(value(&node, granted("sockets", "open"), vec![]).await, int(3));
    let mut limited = granted("sockets", "open");
    limited.limits.open_sockets_max = 2;
    assert_eq!(value(&node, limited, vec![]).await, int(2));
}

#[tokio::test]
async fn names_are_granted_and_asked_about() {
    const ACCESS_DENIED: i64 = 10;
    const INVALID_ARGUMENT: i64 = 11;
    let policy = Policy::default().deny("socket.resolve", "localhost");
    let node = policy.node();
    let ungranted = value(&node, spec("sockets", Some("resolve")), vec![text("::1")]).await;
    assert_eq!(ungranted, int(ACCESS_DENIED));
    for (name, expected) in
        [("192.0.2.1", 0), ("a b", INVALID_ARGUMENT), ("localhost", ACCESS_DENIED)]
    {
        let answer = value(&node, granted("sockets", "resolve"), vec![text(name)]).await;
        assert_eq!(answer, int(expected), "{name}");
    }
    assert_eq!(policy.asked(), ["socket.resolve localhost"]);
}
