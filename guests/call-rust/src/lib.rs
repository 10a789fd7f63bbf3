//! Calls functions of the node through `wippy:runtime/funcs`: any target with a text or with
//! bytes, several one after the other, and itself.

wit_bindgen::generate!({
    path: "wit",
    inline: "
        package wippy:call-rust;

        world call-rust {
            import wippy:runtime/funcs@0.1.0;
            export call: func(target: string, input: string) -> result<string, string>;
            export call-bytes: func(target: string, input: list<u8>) -> result<list<u8>, string>;
            /// Passes the text through one function after another.
            export chain: func(targets: list<string>, input: string) -> result<string, string>;
            /// A function for others: answers with what it got.
            export echo: func(input: string) -> string;
            /// A function for others: traps.
            export trap: func(input: string) -> string;
            /// A function for others: calls the function that the text names with that text.
            export again: func(input: string) -> result<string, string>;
            /// A function for others: never ends.
            export spin: func(input: string) -> string;
        }
    ",
    world: "wippy:call-rust/call-rust",
    generate_all,
});

use wippy::runtime::funcs;

struct CallRust;

impl Guest for CallRust {
    fn call(target: String, input: String) -> Result<String, String> {
        funcs::call_string(&target, &input)
    }

    fn call_bytes(target: String, input: Vec<u8>) -> Result<Vec<u8>, String> {
        funcs::call_bytes(&target, &input)
    }

    fn chain(targets: Vec<String>, input: String) -> Result<String, String> {
        targets.iter().try_fold(input, |text, target| funcs::call_string(target, &text))
    }

    fn echo(input: String) -> String {
        format!("Rust got {input}")
    }

    fn trap(_: String) -> String {
        panic!("as asked")
    }

    fn again(input: String) -> Result<String, String> {
        funcs::call_string(&input, &input)
    }

    fn spin(_: String) -> String {
        loop {
            std::hint::black_box(0);
        }
    }
}

export!(CallRust);
