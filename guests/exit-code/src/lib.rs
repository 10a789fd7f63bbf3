//! A library that ends its process: std::process::exit becomes wasi:cli/exit, which knows
//! only success (0) and failure (any other code).

wit_bindgen::generate!({
    inline: "
        package wippy:exit-code;

        world exit-code {
            export run: func(code: u32);
        }
    ",
});

struct ExitCode;

impl Guest for ExitCode {
    fn run(code: u32) {
        std::process::exit(code.cast_signed())
    }
}

export!(ExitCode);
