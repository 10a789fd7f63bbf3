;; Asked for memory for its argument, it never answers.
(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (loop $for_ever (br $for_ever))
      (unreachable))
    (func (export "run") (param i32 i32)))
  (core instance $i (instantiate $m))
  (func (export "run") (param "text" string)
    (canon lift (core func $i "run") (memory $i "memory") (realloc (func $i "realloc")))))
