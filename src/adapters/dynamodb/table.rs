//! Creates the tables, for tests and for the embedded engine. In an account the template creates
//! them, in the same shape (checked by `tests/template/rules.py`). Also tells a table from others
//! of the same name.

use aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};

use super::DynamoStore;
use super::call::{CallError, call_error};
use crate::model::error::Cause;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::store::StoreError;

/// The columns of the index by hour: those that queries filter by. The rows are read from the table.
pub const BY_HOUR_COLUMNS: [&str; 2] = ["app_name", "routes"];

impl<C: Clock> DynamoStore<C> {
    /// Creates both tables. A table that exists stays as it is.
    ///
    /// # Errors
    /// When the engine is unreachable or refuses.
    pub async fn create_tables(&self, deadline: Deadline) -> Result<(), StoreError> {
        self.create(deadline, || self.alerts_table()).await?;
        self.create(deadline, || self.outbox_table()).await
    }

    /// The id of the alerts table. No other table has it, not even a later one of the same name.
    ///
    /// # Errors
    /// When the table does not exist or may not be described.
    pub async fn alerts_table_id(&self, deadline: Deadline) -> Result<String, StoreError> {
        let describe = || {
            let call = self.client.describe_table().table_name(&self.tables.alerts);
            async { call.send().await.map_err(call_error) }
        };
        let table = self.read(deadline, describe).await?.table;
        table.and_then(|table| table.table_id).ok_or_else(|| {
            let why = "its description has no id";
            StoreError::Invalid(Cause::new("no-table-id", why.to_owned()))
        })
    }

    async fn create(
        &self,
        deadline: Deadline,
        table: impl Fn() -> CreateTableFluentBuilder,
    ) -> Result<(), StoreError> {
        let create = || {
            let call = table().billing_mode(BillingMode::PayPerRequest);
            async {
                match call.send().await {
                    Err(error)
                        if error
                            .as_service_error()
                            .is_some_and(|e| e.is_resource_in_use_exception()) =>
                    {
                        Ok(())
                    }
                    Err(error) => Err::<(), CallError>(call_error(error)),
                    Ok(_) => Ok(()),
                }
            }
        };
        self.read(deadline, create).await
    }

    fn alerts_table(&self) -> CreateTableFluentBuilder {
        let projection = Projection::builder()
            .projection_type(ProjectionType::Include)
            .set_non_key_attributes(Some(BY_HOUR_COLUMNS.map(str::to_owned).to_vec()))
            .build();
        let by_hour = GlobalSecondaryIndex::builder()
            .index_name("by_hour")
            .key_schema(key("hour", KeyType::Hash))
            .key_schema(key("timestamp", KeyType::Range))
            .projection(projection)
            .build()
            .expect("invariant: name, keys and projection are set");
        let table = self
            .client
            .create_table()
            .table_name(&self.tables.alerts)
            .key_schema(key("log_id", KeyType::Hash));
        with_strings(table, &["log_id", "hour", "timestamp"]).global_secondary_indexes(by_hour)
    }

    fn outbox_table(&self) -> CreateTableFluentBuilder {
        let table = self.client.create_table().table_name(&self.tables.outbox);
        with_strings(
            table.key_schema(key("pk", KeyType::Hash)).key_schema(key("sk", KeyType::Range)),
            &["pk", "sk"],
        )
    }
}

fn key(name: &str, kind: KeyType) -> KeySchemaElement {
    KeySchemaElement::builder()
        .attribute_name(name)
        .key_type(kind)
        .build()
        .expect("invariant: name and kind are set")
}

fn with_strings(table: CreateTableFluentBuilder, names: &[&str]) -> CreateTableFluentBuilder {
    let string = |name: &&str| {
        let definition = AttributeDefinition::builder()
            .attribute_name(*name)
            .attribute_type(ScalarAttributeType::S);
        definition.build().expect("invariant: name and type are set")
    };
    table.set_attribute_definitions(Some(names.iter().map(string).collect()))
}
