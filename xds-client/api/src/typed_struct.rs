//! A message in JSON form inside an `Any`: how a control plane sends configuration whose descriptor it
//! does not have. istiod wraps Istio's own extensions in it.
//!
//! Two packages define it with the same fields; [`crate::TypedStruct`] reads either.

use envoy_types::pb::google::protobuf::{Any, Struct};
use prost::Name;

use crate::any::{self, DecodeError};
use crate::error::ReadError;
use crate::read::{self, Source, Syntax, Unknown};
use crate::reflect::Pool;
use crate::tree;

/// The older of the two, and the one that istiod sends. (udpa: type.v1.TypedStruct)
#[derive(Clone, PartialEq, prost::Message)]
pub struct TypedStruct {
    /// Type URL of the message that `value` is the JSON form of.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The message.
    #[prost(message, optional, tag = "2")]
    pub value: Option<Struct>,
}

impl Name for TypedStruct {
    const NAME: &'static str = "TypedStruct";
    const PACKAGE: &'static str = "udpa.type.v1";
}

impl TypedStruct {
    /// The `TypedStruct` of either package in `any`, or none if `any` holds something else.
    ///
    /// # Errors
    /// The bytes are no `TypedStruct`.
    pub fn from_any(any: &Any) -> Result<Option<Self>, DecodeError> {
        match any::type_name(&any.type_url) {
            Some("udpa.type.v1.TypedStruct") => any::decode(any).map(Some),
            Some("xds.type.v3.TypedStruct") => {
                let Xds { type_url, value } = any::decode(any)?;
                Ok(Some(Self { type_url, value }))
            }
            _ => Ok(None),
        }
    }

    /// The message itself, in an `Any` of its own type, or none if its type is not known here.
    ///
    /// # Errors
    /// The struct does not fit the type. There is no file: the error's is the type URL, its line 1.
    pub fn message(&self, pool: &Pool, unknown: Unknown<'_>) -> Result<Option<Any>, ReadError> {
        let Some(type_name) = any::type_name(&self.type_url).filter(|_| pool.knows(&self.type_url))
        else {
            return Ok(None);
        };
        let root = tree::from_struct(self.value.as_ref());
        let source = Source { pool, file: &self.type_url, syntax: Syntax::Json };
        let mut value = Vec::new();
        read::read(source, &root, type_name, unknown, &mut value)?;
        Ok(Some(Any { type_url: self.type_url.clone(), value }))
    }
}

/// The newer of the two. (xds: type.v3.TypedStruct)
#[derive(Clone, PartialEq, prost::Message)]
pub struct Xds {
    /// Type URL of the message that `value` is the JSON form of.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The message.
    #[prost(message, optional, tag = "2")]
    pub value: Option<Struct>,
}

impl Name for Xds {
    const NAME: &'static str = "TypedStruct";
    const PACKAGE: &'static str = "xds.type.v3";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Document;
    use crate::envoy::config::core::v3::Pipe;

    #[test]
    fn both_packages_are_read_and_nothing_else() {
        let ours = TypedStruct { type_url: "x/a.B".into(), value: Some(Struct::default()) };
        let theirs = Xds { type_url: "x/a.B".into(), value: Some(Struct::default()) };
        assert_eq!(TypedStruct::from_any(&any::encode(&ours)), Ok(Some(ours.clone())));
        assert_eq!(TypedStruct::from_any(&any::encode(&theirs)), Ok(Some(ours.clone())));
        assert_eq!(TypedStruct::from_any(&any::encode(&Struct::default())), Ok(None));
        let broken = Any { value: vec![0xff], ..any::encode(&ours) };
        assert!(TypedStruct::from_any(&broken).is_err());
    }

    #[test]
    fn the_struct_becomes_the_message_that_it_stands_for() {
        let pool = Pool::load();
        let struct_of = |text| -> Struct {
            Document::yaml("test", text).unwrap().read(&pool, Unknown::Refuse).unwrap()
        };
        let wrapped = |type_url: &str, text| TypedStruct {
            type_url: type_url.into(),
            value: Some(struct_of(text)),
        };
        let url = any::type_url::<Pipe>();
        let found = wrapped(&url, "{path: /x, mode: 511}").message(&pool, Unknown::Refuse);
        let found = any::decode::<Pipe>(&found.unwrap().unwrap()).unwrap();
        assert_eq!(found, Pipe { path: "/x".into(), mode: 511 });

        let error = wrapped(&url, "{path: /x, made: 1}").message(&pool, Unknown::Refuse);
        assert_eq!((error.unwrap_err().path.as_str()), "made");
        let theirs = wrapped("x/io.istio.http.peer_metadata.Config", "{a: 1}");
        assert_eq!(theirs.message(&pool, Unknown::Refuse), Ok(None));
    }
}
