//! A method of a component: its signature, and the path by which it is called.
//!
//! A dynamic value costs 23 ns for each byte of a `list<u8>`, and forty times its memory.
//! So the shapes that people use most are called through typed functions, where a byte list
//! is one copy; the table at the end of this file lists them. The path is chosen once, when
//! the method is loaded. Everything else goes through dynamic values.
//!
//! A call needs no post-return: wasmtime 48 does it itself.

use std::pin::Pin;

use wasmtime::component::{ComponentNamedList, Func, Lift, Lower, Val};
use wasmtime::{AsContextMut, StoreContextMut};
use wippy_model::{Error, Value};

use super::lift::{lift, lift_arm, single};
use super::lower::{Budget, bytes, check_count, lower_args, lower_value, text};
use super::mismatch::Mismatch;
use super::signature::{Signature, place};
use super::types::Type;

/// A method, ready to be called any number of times.
#[derive(Debug, Clone)]
pub struct Method {
    signature: Signature,
    /// `None`: dynamic values.
    typed: Option<(Params, Results)>,
}

/// The arguments of one call, checked and owned by it.
#[derive(Debug)]
pub struct Prepared(Args);

/// What a method returned.
#[derive(Debug, Clone, PartialEq)]
pub enum Returned {
    /// The value of a method whose result is no `result`; nil without a result.
    Value(Value),
    /// The payload of `ok`.
    Ok(Option<Value>),
    /// The payload of `err`.
    Err(Option<Value>),
}

impl Returned {
    /// The result as data: `{ok = v}`, as the caller of a function gets it.
    pub fn into_data(self) -> Value {
        let (name, payload) = match self {
            Self::Value(value) => return value,
            Self::Ok(payload) => ("ok", payload),
            Self::Err(payload) => ("err", payload),
        };
        single(name, payload.unwrap_or(Value::Bool(true)))
    }

    /// The result as an exit: the value of a process that ended well, or the error of one
    /// that failed. Nil without a payload.
    ///
    /// # Errors
    ///
    /// The payload of `err`, as it is.
    pub fn into_exit(self, signature: &Signature) -> Result<Value, Value> {
        // A payload that is none is nil outside of the map in which it had to be null.
        let alone = |payload: Option<Value>, ty: Option<&Type>| match (payload, ty) {
            (Some(Value::Null), Some(Type::Option(inner))) if !inner.is_option() => Value::Nil,
            (payload, _) => payload.unwrap_or_default(),
        };
        match self {
            Self::Value(value) => Ok(value),
            Self::Ok(payload) => Ok(alone(payload, signature.exit_type())),
            Self::Err(payload) => Err(alone(payload, signature.error_type())),
        }
    }
}

impl Method {
    /// Chooses the path for a signature.
    pub fn new(signature: Signature) -> Self {
        let typed =
            Params::of(&signature).zip(Results::of(&signature)).filter(|pair| PAIRS.contains(pair));
        Self { signature, typed }
    }

    /// The signature.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Whether the calls go through a typed function.
    pub fn is_typed(&self) -> bool {
        self.typed.is_some()
    }

    /// The same method by dynamic values, to compare with.
    #[cfg(test)]
    pub(crate) fn untyped(self) -> Self {
        Self { typed: None, ..self }
    }

    /// Checks and lowers the arguments of one call. Nothing of a guest runs.
    ///
    /// # Errors
    ///
    /// As [`lower_args`].
    pub fn prepare(&self, args: Vec<Value>) -> Result<Prepared, Error> {
        match self.typed {
            Some((params, _)) => {
                check_count(&self.signature, &args)?;
                let mut taken = Taken { signature: &self.signature, values: args, next: 0 };
                taken.values.reverse();
                params.take(&mut taken).map(Prepared)
            }
            None => lower_args(&self.signature, args).map(Args::Dynamic).map(Prepared),
        }
    }

    /// Calls the function that has this signature.
    ///
    /// # Errors
    ///
    /// A trap, and what else wasmtime reports. A result that has no form as a value is a
    /// [`wippy_model::Error`] inside.
    pub async fn call<T: Send + 'static>(
        &self,
        mut store: impl AsContextMut<Data = T>,
        func: &Func,
        args: Prepared,
    ) -> wasmtime::Result<Returned> {
        let store = store.as_context_mut();
        match (args.0, self.typed) {
            (Args::Dynamic(vals), _) => self.call_dynamic(store, func, &vals).await,
            (args, Some((_, results))) => call_typed(store, func, args, results).await,
            (_, None) => Err(wasmtime::Error::msg("arguments of another method")),
        }
    }

    async fn call_dynamic<T: Send + 'static>(
        &self,
        store: impl AsContextMut<Data = T>,
        func: &Func,
        args: &[Val],
    ) -> wasmtime::Result<Returned> {
        let Some(ty) = &self.signature.result else {
            func.call_async(store, args, &mut []).await?;
            return Ok(Returned::Value(Value::Nil));
        };
        let mut result = [Val::Bool(false)];
        func.call_async(store, args, &mut result).await?;
        let [result] = result;
        let returned = match (result, ty) {
            (Val::Result(Ok(val)), Type::Result(ok, _)) => {
                lift_arm(val, ok.as_deref()).map(Returned::Ok)
            }
            (Val::Result(Err(val)), Type::Result(_, err)) => {
                lift_arm(val, err.as_deref()).map(Returned::Err)
            }
            (val, ty) => lift(val, ty).map(Returned::Value),
        };
        returned.map_err(wasmtime::Error::new)
    }
}

/// The arguments of a typed call, taken one by one.
struct Taken<'a> {
    signature: &'a Signature,
    /// Last first.
    values: Vec<Value>,
    next: usize,
}

impl Taken<'_> {
    fn take<S: Scalar>(&mut self) -> Result<S, Error> {
        let index = self.next;
        self.next += 1;
        let value = self.values.pop().unwrap_or_default();
        S::take(value).map_err(|mismatch| {
            let name = self.signature.params.get(index).map_or("", |(name, _)| name);
            mismatch.at(&place(index, name))
        })
    }
}

/// A Rust type that a typed path takes or gives.
trait Scalar: Sized {
    fn ty() -> Type;
    fn take(value: Value) -> Result<Self, Mismatch>;
    fn give(self) -> Value;
}

macro_rules! numbers {
    ($($rust:ty: $kind:ident;)*) => {$(
        impl Scalar for $rust {
            fn ty() -> Type {
                Type::$kind
            }
            fn take(value: Value) -> Result<Self, Mismatch> {
                match lower_value(value, &Type::$kind, &mut Budget::new())? {
                    Val::$kind(number) => Ok(number),
                    _ => Err(Mismatch::new("lowered to another type")),
                }
            }
            fn give(self) -> Value {
                Value::Int(self.into())
            }
        }
    )*};
}

numbers! {
    u32: U32;
    i32: S32;
}

impl Scalar for String {
    fn ty() -> Type {
        Type::String
    }
    fn take(value: Value) -> Result<Self, Mismatch> {
        text(value)
    }
    fn give(self) -> Value {
        Value::String(self)
    }
}

impl Scalar for Vec<u8> {
    fn ty() -> Type {
        Type::Bytes
    }
    fn take(value: Value) -> Result<Self, Mismatch> {
        bytes(value)
    }
    fn give(self) -> Value {
        Value::Bytes(self)
    }
}

/// What a typed function returns, as wasmtime's list of results.
trait Outcome: ComponentNamedList + Lift + 'static {
    fn ty() -> Option<Type>;
    fn returned(self) -> Returned;
}

impl Outcome for () {
    fn ty() -> Option<Type> {
        None
    }
    fn returned(self) -> Returned {
        Returned::Value(Value::Nil)
    }
}

/// A whole result, which comes as a list of one.
trait Single: Lift + 'static {
    fn ty() -> Type;
    fn returned(self) -> Returned;
}

impl<S: Single> Outcome for (S,) {
    fn ty() -> Option<Type> {
        Some(S::ty())
    }
    fn returned(self) -> Returned {
        self.0.returned()
    }
}

macro_rules! plain {
    ($($rust:ty)*) => {$(
        impl Single for $rust {
            fn ty() -> Type {
                <$rust as Scalar>::ty()
            }
            fn returned(self) -> Returned {
                Returned::Value(Scalar::give(self))
            }
        }
    )*};
}

plain!(u32 i32 String Vec<u8>);

/// An arm of a `result`, which may have no payload.
trait Arm: Lift + 'static {
    fn ty() -> Option<Box<Type>>;
    fn payload(self) -> Option<Value>;
}

impl Arm for () {
    fn ty() -> Option<Box<Type>> {
        None
    }
    fn payload(self) -> Option<Value> {
        None
    }
}

macro_rules! arms {
    ($($rust:ty)*) => {$(
        impl Arm for $rust {
            fn ty() -> Option<Box<Type>> {
                Some(Box::new(<$rust as Scalar>::ty()))
            }
            fn payload(self) -> Option<Value> {
                Some(self.give())
            }
        }
    )*};
}

arms!(String Vec<u8>);

impl<A: Arm, B: Arm> Single for Result<A, B> {
    fn ty() -> Type {
        Type::Result(A::ty(), B::ty())
    }
    fn returned(self) -> Returned {
        match self {
            Ok(payload) => Returned::Ok(payload.payload()),
            Err(payload) => Returned::Err(payload.payload()),
        }
    }
}

type Calling<'a> = Pin<Box<dyn Future<Output = wasmtime::Result<Returned>> + Send + 'a>>;

/// One typed path. Boxed, so that a process's own future has the size of one path and not
/// of the largest.
fn call_one<'a, T: Send + 'static, P, R>(
    mut store: StoreContextMut<'a, T>,
    func: &'a Func,
    params: P,
) -> Calling<'a>
where
    P: ComponentNamedList + Lower + Send + 'a,
    R: Outcome + Send,
{
    Box::pin(async move {
        let func = func.typed::<P, R>(&store)?;
        func.call_async(&mut store, params).await.map(R::returned)
    })
}

/// Makes the tables of typed paths: parameter lists, results, and which pairs there are.
/// Not every pair is there: each is code of its own.
macro_rules! paths {
    (
        params { $($params:ident: ($($param:ty),*),)* }
        results { $($result:ident: $rust:ty,)* }
        pairs { $($from:ident => [$($to:ident)*];)* }
    ) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Params { $($params,)* }

        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Results { $($result,)* }

        #[derive(Debug)]
        enum Args {
            $($params(($($param,)*)),)*
            Dynamic(Vec<Val>),
        }

        mod rust {
            $(pub(super) type $result = $rust;)*
        }

        const PAIRS: &[(Params, Results)] = &[$($((Params::$from, Results::$to),)*)*];

        impl Params {
            fn of(signature: &Signature) -> Option<Self> {
                let all = [$(Self::$params),*];
                let given = || signature.params.iter().map(|(_, ty)| ty);
                all.into_iter().find(|params| given().eq(&params.types()))
            }

            fn types(self) -> Vec<Type> {
                match self {
                    $(Self::$params => vec![$(<$param as Scalar>::ty()),*],)*
                }
            }

            // A parameter list may be empty.
            #[allow(unused_variables)]
            fn take(self, taken: &mut Taken<'_>) -> Result<Args, Error> {
                Ok(match self {
                    $(Self::$params => Args::$params(($(taken.take::<$param>()?,)*)),)*
                })
            }
        }

        impl Results {
            fn of(signature: &Signature) -> Option<Self> {
                let all = [$(Self::$result),*];
                all.into_iter().find(|result| result.ty() == signature.result)
            }

            fn ty(self) -> Option<Type> {
                match self {
                    $(Self::$result => <$rust as Outcome>::ty(),)*
                }
            }
        }

        fn call_typed<'a, T: Send + 'static>(
            store: StoreContextMut<'a, T>,
            func: &'a Func,
            args: Args,
            results: Results,
        ) -> Calling<'a> {
            match (args, results) {
                $($(
                    (Args::$from(args), Results::$to) => {
                        call_one::<T, _, rust::$to>(store, func, args)
                    }
                )*)*
                // `prepare` makes arguments only of the method's own, listed path.
                _ => Box::pin(std::future::ready(Err(wasmtime::Error::msg(
                    "arguments of another method",
                )))),
            }
        }
    };
}

paths! {
    params {
        Empty: (),
        Text: (String),
        Bytes: (Vec<u8>),
        TextBytes: (String, Vec<u8>),
        U32U32: (u32, u32),
        S32S32: (i32, i32),
    }
    results {
        Nothing: (),
        U32: (u32,),
        S32: (i32,),
        Text: (String,),
        Bytes: (Vec<u8>,),
        NothingOrText: (Result<(), String>,),
        TextOrText: (Result<String, String>,),
        BytesOrText: (Result<Vec<u8>, String>,),
    }
    pairs {
        Empty => [Nothing Text Bytes NothingOrText TextOrText BytesOrText];
        Text => [Nothing Text Bytes NothingOrText TextOrText BytesOrText];
        Bytes => [Nothing Text Bytes NothingOrText TextOrText BytesOrText];
        TextBytes => [Bytes NothingOrText BytesOrText];
        U32U32 => [U32];
        S32S32 => [S32];
    }
}
#[cfg(test)]
mod tests;
