//! `normalize(text, NFD)`: one spelling of what Unicode can spell in several ways.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::ScalarUDF;
use icu_normalizer::{
    ComposingNormalizerBorrowed as Composing, DecomposingNormalizerBorrowed as Decomposing,
};

use super::super::scalar::{Arguments, Function, Kind, put};

/// The function; the syntax tree has the form as a text, NFC if there is none.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    const FORMS: &[&[Kind]] = &[&[Kind::Text], &[Kind::Text, Kind::Text]];
    vec![Function::new("normalize", FORMS, DataType::Utf8, normalize).into()]
}

fn normalize(args: &Arguments) -> Result<ArrayRef> {
    let texts = args.text(0)?;
    let forms = if args.len() > 1 { Some(args.text(1)?) } else { None };
    args.to_texts(|row, out| {
        let form = forms.as_ref().map_or(Some("nfc"), |forms| forms.at(row));
        let (Some(text), Some(form)) = (texts.at(row), form) else { return Ok(None) };
        let normal = match form.to_lowercase().as_str() {
            "nfc" => Composing::new_nfc().normalize(text),
            "nfd" => Decomposing::new_nfd().normalize(text),
            "nfkc" => Composing::new_nfkc().normalize(text),
            "nfkd" => Decomposing::new_nfkd().normalize(text),
            other => {
                return exec_err!("INVALID_FUNCTION_ARGUMENT: '{other}' is no form: NFD, NFC, NFKD or NFKC");
            }
        };
        put(out, &normal).map(Some)
    })
}
