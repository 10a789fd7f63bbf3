//! WIT types as `wit-parser` has them, as the types of this crate: so that a signature
//! reads the same before and after compiling.

use wit_parser::{Function, Handle, Resolve, Type as Wit, TypeDefKind, TypeId};

use super::Export;
use crate::value::{Signature, Type};

/// What `method` calls a function, and its signature.
pub(super) fn export(resolve: &Resolve, interface: Option<&str>, function: &Function) -> Export {
    let signature = Signature {
        name: function.name.clone(),
        is_async: function.kind.is_async(),
        params: function
            .params
            .iter()
            .map(|param| (param.name.clone(), convert(resolve, &param.ty)))
            .collect(),
        result: function.result.as_ref().map(|ty| convert(resolve, ty)),
    };
    let name = match interface {
        Some(interface) => format!("{interface}#{}", function.name),
        None => function.name.clone(),
    };
    Export { name, signature: signature.to_string() }
}

fn convert(resolve: &Resolve, ty: &Wit) -> Type {
    match ty {
        Wit::Bool => Type::Bool,
        Wit::U8 => Type::U8,
        Wit::U16 => Type::U16,
        Wit::U32 => Type::U32,
        Wit::U64 => Type::U64,
        Wit::S8 => Type::S8,
        Wit::S16 => Type::S16,
        Wit::S32 => Type::S32,
        Wit::S64 => Type::S64,
        Wit::F32 => Type::F32,
        Wit::F64 => Type::F64,
        Wit::Char => Type::Char,
        Wit::String => Type::String,
        Wit::ErrorContext => Type::Other("error-context"),
        Wit::Id(id) => defined(resolve, *id),
    }
}

fn defined(resolve: &Resolve, id: TypeId) -> Type {
    let Some(definition) = resolve.types.get(id) else { return Type::Other("type") };
    let boxed = |ty: &Wit| Box::new(convert(resolve, ty));
    let optional = |ty: &Option<Wit>| ty.as_ref().map(boxed);
    match &definition.kind {
        TypeDefKind::Record(record) => Type::Record(
            record.fields.iter().map(|f| (f.name.clone(), convert(resolve, &f.ty))).collect(),
        ),
        TypeDefKind::Flags(flags) => {
            Type::Flags(flags.flags.iter().map(|f| f.name.clone()).collect())
        }
        TypeDefKind::Tuple(tuple) => {
            Type::Tuple(tuple.types.iter().map(|ty| convert(resolve, ty)).collect())
        }
        TypeDefKind::Variant(variant) => Type::Variant(
            variant
                .cases
                .iter()
                .map(|c| (c.name.clone(), c.ty.as_ref().map(|ty| convert(resolve, ty))))
                .collect(),
        ),
        TypeDefKind::Enum(cases) => {
            Type::Enum(cases.cases.iter().map(|c| c.name.clone()).collect())
        }
        TypeDefKind::Option(inner) => Type::Option(boxed(inner)),
        TypeDefKind::Result(result) => Type::Result(optional(&result.ok), optional(&result.err)),
        TypeDefKind::List(Wit::U8) => Type::Bytes,
        TypeDefKind::List(inner) => Type::List(boxed(inner)),
        TypeDefKind::Future(inner) => Type::Future(optional(inner)),
        TypeDefKind::Stream(inner) => Type::Stream(optional(inner)),
        TypeDefKind::Handle(Handle::Own(_)) => Type::Own,
        TypeDefKind::Handle(Handle::Borrow(_)) => Type::Borrow,
        TypeDefKind::Type(inner) => convert(resolve, inner),
        TypeDefKind::Map(..) => Type::Other("map"),
        TypeDefKind::FixedLengthList(..) => Type::Other("fixed-length list"),
        TypeDefKind::Resource => Type::Other("resource"),
        TypeDefKind::Unknown => Type::Other("type"),
    }
}
