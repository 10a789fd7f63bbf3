;; Imports an interface that no host has: `quiet` runs without it, `loud` calls it.
(component
  (import "test:minimal/host" (instance $host
    (export "ping" (func (result u32)))))
  (core func $ping (canon lower (func $host "ping")))

  (core module $m
    (import "host" "ping" (func $ping (result i32)))
    (func (export "quiet") (result i32) (i32.const 42))
    (func (export "loud") (result i32) (call $ping)))
  (core instance $i (instantiate $m
    (with "host" (instance (export "ping" (func $ping))))))

  (func (export "quiet") (result u32) (canon lift (core func $i "quiet")))
  (func (export "loud") (result u32) (canon lift (core func $i "loud"))))
