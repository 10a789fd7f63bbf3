//! What a user's first Rust guest looks like: std and wit-bindgen, which import ten
//! WASI interfaces although the code calls none of them.

wit_bindgen::generate!({
    inline: "
        package wippy:hello-rust;

        world hello-rust {
            export greet: func(name: string) -> string;
        }
    ",
});

struct HelloRust;

impl Guest for HelloRust {
    fn greet(name: String) -> String {
        format!("Hello, {name}!")
    }
}

export!(HelloRust);
