//! Declarations: a shape, a record, a choice, and the tables made from them.

use wippy_model::Value;

use super::decoder::Decoder;
use crate::yaml::{Node, Span};

/// How one value is read.
pub(crate) trait Shape {
    /// What it becomes.
    type Output;

    /// What the documentation calls it.
    fn ty() -> TypeDoc;

    /// Reads it. What is wrong goes to the decoder.
    fn decode(node: &Node, cx: &mut Decoder<'_>) -> Option<Self::Output>;

    /// How it may be written, for the next step in errors.
    fn example() -> &'static str {
        "..."
    }

    /// What becomes of a required field that is missing.
    fn missing(span: Span, cx: &mut Decoder<'_>) -> Option<Self::Output> {
        let message = format!("the required field `{}` is missing", cx.path());
        let help = format!("add `{}: {}`", cx.field(), cx.example(Self::example()));
        cx.error("missing-field", span, message, help);
        None
    }

    /// How the documentation writes a default.
    fn show(value: &Self::Output) -> String;
}

/// What the documentation calls a type.
pub(crate) struct TypeDoc {
    /// In words.
    pub(crate) name: String,
    /// The fields of a record.
    pub(crate) table: Option<fn() -> Table>,
    /// The names of a choice, with what they mean.
    pub(crate) choices: Vec<(&'static str, String)>,
}

impl TypeDoc {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), table: None, choices: Vec::new() }
    }
}

/// The fields of a record.
pub(crate) struct Table {
    /// The record's Rust name.
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) doc: String,
    /// Its fields.
    pub(crate) rows: Vec<Row>,
    /// Fields that the Go system knows and that have no effect here.
    pub(crate) ignored: &'static [&'static str],
    /// Fields that are errors, with the reason.
    pub(crate) refused: &'static [(&'static str, &'static str)],
}

/// One field of a record.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// Older names.
    pub(crate) aliases: &'static [&'static str],
    /// Whether it stands in `meta`.
    pub(crate) meta: bool,
    /// Whether it may stand in `meta` as well.
    pub(crate) or_meta: bool,
    pub(crate) ty: TypeDoc,
    pub(crate) required: bool,
    pub(crate) default: Option<String>,
    pub(crate) doc: String,
}

/// One text of the lines of a doc comment.
pub(crate) fn join(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// A field's name without the mark of a raw identifier.
pub(crate) fn bare(name: &'static str) -> &'static str {
    name.strip_prefix("r#").unwrap_or(name)
}

/// How the documentation writes a value.
pub(crate) fn show_value(value: &Value) -> String {
    format!("`{}`", value.to_json())
}

/// Declares a map with named fields: the type, its decoder and its table.
///
/// `..part: Type` takes the fields of another record into this one. A field is `required`,
/// `optional`, has a default (`or(...)`), is a map of fields with defaults (`group`), is
/// required here or in `meta` (`or_meta`), or stands in `meta` (`meta`). `old | new: Type`
/// gives older names; `as Shape` says how the value is read, where the type does not.
/// `check` looks at several fields together, and `finish` changes a record that is whole.
macro_rules! record {
    (
        $(#[doc = $doc:literal])*
        $vis:vis struct $name:ident {
            $( ..$flat:ident : $flat_ty:ty, )*
            $(
                $(#[doc = $field_doc:literal])*
                $field:ident $(| $alias:ident)* : $ty:ty $(as $shape:ty)? => $how:ident $(($default:expr))?,
            )*
        }
        $(ignored { $($ignored:ident),* $(,)? })?
        $(refused { $($refused:ident : $why:literal),* $(,)? })?
        $(check $check:path;)?
        $(finish $finish:path;)?
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq)]
        $vis struct $name {
            $( #[doc = concat!("The fields of [`", stringify!($flat_ty), "`].")] $vis $flat: $flat_ty, )*
            $( $(#[doc = $field_doc])* $vis $field: $crate::schema::record!(@type $how $ty), )*
        }

        impl $name {
            /// Reads the fields of this record and leaves the others.
            pub(crate) fn take(
                fields: &mut $crate::schema::Fields<'_>,
                cx: &mut $crate::schema::Decoder<'_>,
            ) -> Option<Self> {
                $( let $flat = <$flat_ty>::take(fields, cx); )*
                $(
                    let $field = $crate::schema::record!(
                        @take $how ($($default)?) fields cx
                        ($crate::schema::record!(@shape $ty $(, $shape)?))
                        (stringify!($field)) (&[$(stringify!($alias)),*])
                    );
                )*
                // Checks look at what is written, so that they run beside other mistakes too.
                $( $check(fields, cx)?; )?
                #[allow(unused_mut)]
                let mut record = Self { $($flat: $flat?,)* $($field: $field?,)* };
                $( $finish(&mut record); )?
                Some(record)
            }

            /// The fields, for the documentation.
            pub(crate) fn table() -> $crate::schema::Table {
                #[allow(unused_mut)]
                let mut table = $crate::schema::Table {
                    name: stringify!($name),
                    doc: $crate::schema::join(&[$($doc),*]),
                    rows: Vec::new(),
                    ignored: &[$($(stringify!($ignored)),*)?],
                    refused: &[$($((stringify!($refused), $why)),*)?],
                };
                $( table.rows.extend(<$flat_ty>::table().rows); )*
                $(
                    table.rows.push({
                        type TheShape = $crate::schema::record!(@shape $ty $(, $shape)?);
                        $crate::schema::Row {
                            name: $crate::schema::bare(stringify!($field)),
                            aliases: &[$(stringify!($alias)),*],
                            meta: stringify!($how) == "meta",
                            or_meta: stringify!($how) == "or_meta",
                            ty: <TheShape as $crate::schema::Shape>::ty(),
                            required: matches!(stringify!($how), "required" | "or_meta"),
                            default: $crate::schema::record!(@default TheShape $($default)?),
                            doc: $crate::schema::join(&[$($field_doc),*]),
                        }
                    });
                )*
                table
            }
        }

        impl $crate::schema::Shape for $name {
            type Output = Self;

            fn ty() -> $crate::schema::TypeDoc {
                $crate::schema::TypeDoc {
                    table: Some(Self::table),
                    ..$crate::schema::TypeDoc::new("map")
                }
            }

            fn decode(
                node: &$crate::yaml::Node,
                cx: &mut $crate::schema::Decoder<'_>,
            ) -> Option<Self> {
                let mut fields = $crate::schema::Fields::open(node, cx, Self::table)?;
                let record = Self::take(&mut fields, cx);
                fields.close(cx, Self::table);
                record
            }

            fn example() -> &'static str {
                "{ ... }"
            }

            fn show(_: &Self) -> String {
                String::new()
            }
        }
    };

    (@type optional $ty:ty) => { Option<$ty> };
    (@type meta $ty:ty) => { Option<$ty> };
    (@type $how:ident $ty:ty) => { $ty };

    (@shape $ty:ty) => { $ty };
    (@shape $ty:ty, $shape:ty) => { $shape };

    (@take or ($default:expr) $fields:ident $cx:ident ($shape:ty) ($name:expr) ($aliases:expr)) => {
        $fields.or::<$shape>($cx, $crate::schema::bare($name), $aliases, || $default)
    };
    (@take meta () $fields:ident $cx:ident ($shape:ty) ($name:expr) ($aliases:expr)) => {
        $crate::schema::Fields::meta::<$shape>($cx, $crate::schema::bare($name))
    };
    (@take $how:ident () $fields:ident $cx:ident ($shape:ty) ($name:expr) ($aliases:expr)) => {
        $fields.$how::<$shape>($cx, $crate::schema::bare($name), $aliases)
    };

    (@default $shape:ident) => { None };
    (@default $shape:ident $default:expr) => {
        Some(<$shape as $crate::schema::Shape>::show(&$default))
    };
}

/// Declares a choice of names: the type, its decoder and its words.
macro_rules! choice {
    (
        $(#[doc = $doc:literal])*
        pub enum $name:ident {
            $( $(#[doc = $variant_doc:literal])* $variant:ident = $text:literal, )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $( $(#[doc = $variant_doc])* $variant, )*
        }

        impl $name {
            /// Every name, in the order of the documentation.
            pub const NAMES: &'static [&'static str] = &[$($text),*];

            /// The name in project files.
            pub fn name(self) -> &'static str {
                match self { $( Self::$variant => $text, )* }
            }

            /// The choice of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $( $text => Some(Self::$variant), )* _ => None }
            }
        }

        impl $crate::schema::Shape for $name {
            type Output = Self;

            fn ty() -> $crate::schema::TypeDoc {
                let names: Vec<_> = Self::NAMES.iter().map(|name| format!("`{name}`")).collect();
                $crate::schema::TypeDoc {
                    choices: vec![$(($text, $crate::schema::join(&[$($variant_doc),*]))),*],
                    ..$crate::schema::TypeDoc::new(names.join(" or "))
                }
            }

            fn decode(
                node: &$crate::yaml::Node,
                cx: &mut $crate::schema::Decoder<'_>,
            ) -> Option<Self> {
                $crate::schema::decode_choice(node, cx, Self::NAMES, Self::from_name)
            }

            fn example() -> &'static str {
                Self::NAMES.first().copied().unwrap_or("")
            }

            fn show(value: &Self) -> String {
                format!("`{}`", value.name())
            }
        }
    };
}

/// Declares what an ID may name: kinds of entries, and what they are called.
macro_rules! targets {
    ($( $(#[doc = $doc:literal])* $name:ident = $what:literal [$($kind:literal),* $(,)?]; )*) => {
        $(
            $(#[doc = $doc])*
            pub(crate) struct $name;

            impl $crate::schema::Target for $name {
                const WHAT: &'static str = $what;
                const KINDS: &'static [&'static str] = &[$($kind),*];
            }
        )*
    };
}

pub(crate) use {choice, record, targets};
