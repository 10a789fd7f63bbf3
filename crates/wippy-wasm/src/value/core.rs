//! The signature of a core function that only takes and gives numbers.
//!
//! A core module without `wit` is run by its own types. Its integers have no sign: an
//! argument may be in the signed or the unsigned range, a result is signed. Names of
//! parameters are unknown there; they are `p1`, `p2` and so on.

use wasmtime::component;
use wasmtime::{FuncType, Val, ValType};
use wippy_model::{Error, Value};

use super::lower::lower_args;
use super::signature::Signature;
use super::types::Type;

/// A core function's types, with the same checks as a component's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreSignature(Signature);

impl CoreSignature {
    /// The signature of a core function.
    ///
    /// # Errors
    ///
    /// Of kind `Invalid`, when a parameter or a result is no number.
    pub fn new(name: impl Into<String>, func: &FuncType) -> Result<Self, Error> {
        let name = name.into();
        let number = |ty: ValType| match ty {
            ValType::I32 => Ok(Type::I32),
            ValType::I64 => Ok(Type::I64),
            ValType::F32 => Ok(Type::F32),
            ValType::F64 => Ok(Type::F64),
            other => Err(Error::invalid(format!(
                "{name} takes or gives {other}, which is no number; \
                 describe the function with the entry's field wit"
            ))),
        };
        let params = func
            .params()
            .enumerate()
            .map(|(index, ty)| Ok((format!("p{}", index + 1), number(ty)?)))
            .collect::<Result<_, Error>>()?;
        let mut results = func.results().map(number).collect::<Result<Vec<_>, Error>>()?;
        let result =
            if results.len() > 1 { Some(Type::Tuple(results.into())) } else { results.pop() };
        Ok(Self(Signature { name, is_async: false, params, result }))
    }

    /// The signature, as it is checked and shown.
    pub fn signature(&self) -> &Signature {
        &self.0
    }

    /// Room for the results of a call.
    pub fn results(&self) -> Vec<Val> {
        let count = match &self.0.result {
            None => 0,
            Some(Type::Tuple(types)) => types.len(),
            Some(_) => 1,
        };
        vec![Val::I32(0); count]
    }

    /// Lowers the arguments of a call.
    ///
    /// # Errors
    ///
    /// As [`lower_args`].
    pub fn lower(&self, args: Vec<Value>) -> Result<Vec<Val>, Error> {
        let vals = lower_args(&self.0, args)?;
        vals.into_iter()
            .map(|val| match val {
                component::Val::S32(number) => Ok(Val::I32(number)),
                component::Val::S64(number) => Ok(Val::I64(number)),
                component::Val::Float32(number) => Ok(Val::F32(number.to_bits())),
                component::Val::Float64(number) => Ok(Val::F64(number.to_bits())),
                _ => Err(Error::internal("a core function takes only numbers")),
            })
            .collect()
    }

    /// Lifts the results of a call: nil for none, a list for several.
    pub fn lift(&self, results: &[Val]) -> Value {
        let mut values: Vec<_> = results.iter().map(number).collect();
        if values.len() > 1 { Value::List(values) } else { values.pop().unwrap_or_default() }
    }
}

fn number(val: &Val) -> Value {
    match val {
        Val::I32(number) => Value::Int((*number).into()),
        Val::I64(number) => Value::Int(*number),
        Val::F32(bits) => Value::Float(f32::from_bits(*bits).into()),
        Val::F64(bits) => Value::Float(f64::from_bits(*bits)),
        // `new` lets no other type in.
        _ => Value::Nil,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmtime::Engine;

    fn signature(params: &[ValType], results: &[ValType]) -> Result<CoreSignature, Error> {
        let engine = Engine::default();
        let ty = FuncType::new(&engine, params.iter().cloned(), results.iter().cloned());
        CoreSignature::new("compute", &ty)
    }

    #[test]
    fn numbers() {
        let compute =
            signature(&[ValType::I32, ValType::I64, ValType::F32, ValType::F64], &[ValType::I32])
                .unwrap();
        assert_eq!(
            compute.signature().to_string(),
            "compute: func(p1: s32, p2: s64, p3: f32, p4: f64) -> s32"
        );
        let args = vec![
            Value::Int(i64::from(u32::MAX)),
            Value::UInt(u64::MAX),
            Value::Float(0.5),
            Value::Int(2),
        ];
        let vals = compute.lower(args).unwrap();
        assert!(matches!(vals[..], [Val::I32(-1), Val::I64(-1), Val::F32(_), Val::F64(_)]));
        assert_eq!(compute.lift(&[Val::I32(-1)]), Value::Int(-1));
        assert_eq!(compute.results().len(), 1);
        let error = compute.lower(vec![Value::Nil; 4]).unwrap_err();
        assert_eq!(error.message(), "argument 1 \"p1\": expected s32, got nil");
    }

    #[test]
    fn none_and_several_results() {
        let none = signature(&[], &[]).unwrap();
        assert_eq!((none.results().len(), none.lift(&[])), (0, Value::Nil));
        let two = signature(&[], &[ValType::F64, ValType::I64]).unwrap();
        assert_eq!(two.signature().to_string(), "compute: func() -> tuple<f64, s64>");
        assert_eq!(two.results().len(), 2);
        let lifted = two.lift(&[Val::F64(1.5_f64.to_bits()), Val::I64(2)]);
        assert_eq!(lifted, Value::List(vec![Value::Float(1.5), Value::Int(2)]));
    }

    #[test]
    fn references_are_no_numbers() {
        let error = signature(&[ValType::EXTERNREF], &[]).unwrap_err();
        assert_eq!(
            error.message(),
            "compute takes or gives (ref null extern), which is no number; \
             describe the function with the entry's field wit"
        );
    }
}
