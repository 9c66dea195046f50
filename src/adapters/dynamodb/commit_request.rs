//! The request of a commit, serialized straight from the alerts.
//!
//! The SDK's types own their texts. A row in them is a copy of its alert, each attempt needs
//! another copy, and the SDK copies that one into the request. Here a message is copied once, into
//! the request, and all attempts send the same bytes (`tests/memory` counts the copies). The format
//! is public (DynamoDB's low-level API, JSON 1.0), and `the_sdk_writes_the_same` compares it with
//! the SDK's. The endpoint, the signature and the answer are left to the SDK.

use serde::Serialize;

use super::value::Columns;

/// A TransactWriteItems request that only puts new items.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CommitRequest<'a> {
    pub client_request_token: &'a str,
    pub transact_items: Vec<Write<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Write<'a> {
    put: Put<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Put<'a> {
    table_name: &'a str,
    item: Columns<'a>,
    condition_expression: &'static str,
    /// The item that exists, if the condition fails.
    return_values_on_condition_check_failure: &'static str,
}

impl<'a> Write<'a> {
    /// Puts an item if it is absent. `absent` is the condition for that.
    pub(super) fn new(table: &'a str, absent: &'static str, item: Columns<'a>) -> Self {
        Self {
            put: Put {
                table_name: table,
                item,
                condition_expression: absent,
                return_values_on_condition_check_failure: "ALL_OLD",
            },
        }
    }
}

impl CommitRequest<'_> {
    /// Serializes the request. `text_bytes` is the size of its texts. The buffer has room for what
    /// JSON adds, escapes and the names of columns, so that it does not move while it grows.
    pub(super) fn write(&self, text_bytes: usize) -> Vec<u8> {
        const ITEM_BYTES: usize = 1024;
        let mut request = Vec::with_capacity(
            text_bytes + text_bytes / 8 + self.transact_items.len() * ITEM_BYTES,
        );
        serde_json::to_writer(&mut request, self)
            .expect("invariant: string keys and plain data always serialize");
        request
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use aws_sdk_dynamodb::Client;
    use aws_sdk_dynamodb::types::{
        AttributeValue, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
    };
    use aws_smithy_runtime_api::client::http::{
        HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
    };
    use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_types::Blob;

    use super::*;
    use crate::adapters::dynamodb::value::ItemValue;

    /// Keeps the body of the last request, and fails each one.
    #[derive(Clone, Debug, Default)]
    struct LastBody(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl HttpConnector for LastBody {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            *self.0.lock().unwrap() = request.body().bytes().unwrap().to_vec();
            HttpConnectorFuture::ready(Err(ConnectorError::other("no server".into(), None)))
        }
    }

    #[tokio::test]
    async fn the_sdk_writes_the_same() {
        let odd = "a \"line\"\r\n\tand \\ 🦀 \u{1}\u{7f}\u{2028}";
        let columns = |value: ItemValue<'static>| {
            Columns::from([("id", ItemValue::text(odd)), ("value", value)])
        };
        let pairs = [
            (ItemValue::text(""), AttributeValue::S(String::new())),
            (ItemValue::N(-17), AttributeValue::N("-17".into())),
            (ItemValue::B(vec![0, 255, 7].into()), AttributeValue::B(Blob::new([0, 255, 7]))),
            (
                ItemValue::L(vec![ItemValue::text("x")]),
                AttributeValue::L(vec![AttributeValue::S("x".into())]),
            ),
        ];
        let (ours, theirs): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let writes = ours
            .into_iter()
            .map(|value| Write::new("Table", "attribute_not_exists(id)", columns(value)));
        let ours =
            CommitRequest { client_request_token: "token", transact_items: writes.collect() }
                .write(odd.len());

        let last_body = LastBody::default();
        let connector = SharedHttpConnector::new(last_body.clone());
        let client = http_client_fn(move |_, _| connector.clone());
        let config = crate::adapters::aws::loopback("http://127.0.0.1:9")
            .into_builder()
            .http_client(client)
            .build();
        let puts = theirs.into_iter().map(|value| {
            let item =
                [("id".to_owned(), AttributeValue::S(odd.to_owned())), ("value".to_owned(), value)];
            let put = Put::builder()
                .table_name("Table")
                .condition_expression("attribute_not_exists(id)")
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                )
                .set_item(Some(HashMap::from(item)))
                .build();
            TransactWriteItem::builder().put(put.unwrap()).build()
        });
        let call = Client::new(&config).transact_write_items().client_request_token("token");
        call.set_transact_items(Some(puts.collect())).send().await.unwrap_err();

        let read = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
        assert_eq!(read(&ours), read(&last_body.0.lock().unwrap()));
    }
}
