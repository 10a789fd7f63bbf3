//! Arguments of several types at once, for errors that name a parameter and its type. The
//! results tell what has arrived.

wit_bindgen::generate!({
    inline: "
        package wippy:args-many;

        world args-many {
            record position {
                x: s32,
                y: s32,
            }

            export add3: func(a: s32, b: f64, c: option<string>) -> string;
            export point: func(p: position, tags: list<string>) -> string;
        }
    ",
});

struct ArgsMany;

impl Guest for ArgsMany {
    fn add3(a: i32, b: f64, c: Option<String>) -> String {
        format!("{a} {b} {}", c.as_deref().unwrap_or("none"))
    }

    fn point(p: Position, tags: Vec<String>) -> String {
        format!("({}, {}) {}", p.x, p.y, tags.join(","))
    }
}

export!(ArgsMany);
