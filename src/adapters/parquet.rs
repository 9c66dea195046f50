//! Audit rows as a Parquet file. Rows are collected until a row group is full, so memory depends on its
//! size and not on that of the file.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, GzipLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::Result;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use crate::model::audit::AuditRow;
use crate::model::time::Timestamp;

/// The columns of `stentor alerts`, with the same names. An absent value is empty.
const SCHEMA: &str = "message alerts {
    REQUIRED BYTE_ARRAY log_id (STRING);
    REQUIRED INT64 timestamp (TIMESTAMP(MILLIS,true));
    REQUIRED BYTE_ARRAY marker (STRING);
    REQUIRED BYTE_ARRAY app_name (STRING);
    REQUIRED BYTE_ARRAY message (STRING);
    REQUIRED GROUP routes (LIST) { REPEATED GROUP list { REQUIRED BYTE_ARRAY element (STRING); } }
    REQUIRED BYTE_ARRAY account_id (STRING);
    REQUIRED BYTE_ARRAY region (STRING);
    REQUIRED BYTE_ARRAY log_group (STRING);
    REQUIRED BYTE_ARRAY log_stream (STRING);
    REQUIRED BYTE_ARRAY pattern (STRING);
    REQUIRED BYTE_ARRAY source (STRING);
    REQUIRED BYTE_ARRAY context_before (STRING);
    REQUIRED BYTE_ARRAY context_after (STRING);
}";

/// Text of the rows in one group, in bytes. The writer needs about twice as much.
const GROUP_BYTES: usize = 8 << 20;

/// Columns whose values are all different: a dictionary of them would only be given up later.
const DISTINCT: [&str; 2] = ["log_id", "message"];

/// Writes rows to a file.
pub struct ParquetWriter<W: Write + Send> {
    file: SerializedFileWriter<W>,
    rows: Vec<AuditRow>,
    bytes: usize,
}

impl<W: Write + Send> ParquetWriter<W> {
    /// # Errors
    /// When `out` does not take the head of the file.
    pub fn new(out: W) -> Result<Self> {
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("stentor ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::GZIP(GzipLevel::default()))
            .set_statistics_enabled(EnabledStatistics::Chunk);
        for column in DISTINCT {
            properties = properties.set_column_dictionary_enabled(ColumnPath::from(column), false);
        }
        let file = SerializedFileWriter::new(out, schema, Arc::new(properties.build()))?;
        Ok(Self { file, rows: Vec::new(), bytes: 0 })
    }

    /// # Errors
    /// When the output does not take a row group.
    pub fn add(&mut self, row: AuditRow) -> Result<()> {
        self.bytes += row_bytes(&row);
        self.rows.push(row);
        if self.bytes >= GROUP_BYTES { self.write_group() } else { Ok(()) }
    }

    /// The bytes in the file so far.
    pub fn bytes_written(&self) -> usize {
        self.file.bytes_written()
    }

    /// Writes the rest and the end of the file. Returns the output, which is not flushed.
    ///
    /// # Errors
    /// When the output does not take it.
    pub fn finish(mut self) -> Result<W> {
        if !self.rows.is_empty() {
            self.write_group()?;
        }
        self.file.into_inner()
    }

    fn write_group(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let mut group = self.file.next_row_group()?;
        let texts: [fn(&AuditRow) -> &String; 14] = [
            |row| &row.log_id,
            |row| &row.timestamp,
            |row| &row.marker,
            |row| &row.app_name,
            |row| &row.message,
            |row| &row.message,
            |row| &row.account_id,
            |row| &row.region,
            |row| &row.log_group,
            |row| &row.log_stream,
            |row| &row.pattern,
            |row| &row.source,
            |row| &row.context_before,
            |row| &row.context_after,
        ];
        for (column, text) in AuditRow::COLUMNS.into_iter().zip(texts) {
            match column {
                "timestamp" => write_timestamps(&mut group, &rows)?,
                "routes" => write_routes(&mut group, &rows)?,
                _ => write_texts(&mut group, rows.iter().map(|row| text(row).as_str()))?,
            }
        }
        group.close().map(drop)
    }
}

fn row_bytes(row: &AuditRow) -> usize {
    let texts = [
        &row.log_id,
        &row.message,
        &row.context_before,
        &row.context_after,
        &row.pattern,
        &row.log_group,
        &row.log_stream,
        &row.source,
    ];
    size_of::<AuditRow>() + texts.into_iter().map(String::len).sum::<usize>()
}

type Group<'a, W> = SerializedRowGroupWriter<'a, W>;

fn write_texts<'t>(
    group: &mut Group<'_, impl Write + Send>,
    texts: impl Iterator<Item = &'t str>,
) -> Result<()> {
    let values: Vec<ByteArray> = texts.map(ByteArray::from).collect();
    write(group, &values, None)
}

fn write_timestamps(group: &mut Group<'_, impl Write + Send>, rows: &[AuditRow]) -> Result<()> {
    let millis =
        |row: &AuditRow| Timestamp::from_iso(&row.timestamp).unwrap_or_default().as_millis();
    let values: Vec<i64> = rows.iter().map(millis).collect();
    let mut column = group.next_column()?.expect("invariant: the schema has the columns");
    column.typed::<Int64Type>().write_batch(&values, None, None)?;
    column.close()
}

fn write_routes(group: &mut Group<'_, impl Write + Send>, rows: &[AuditRow]) -> Result<()> {
    let (mut values, mut definitions, mut repetitions) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        if row.routes.is_empty() {
            definitions.push(0);
            repetitions.push(0);
        }
        for (at, route) in row.routes.iter().enumerate() {
            values.push(ByteArray::from(route.as_str()));
            definitions.push(1);
            repetitions.push(i16::from(at > 0));
        }
    }
    write(group, &values, Some((&definitions, &repetitions)))
}

fn write(
    group: &mut Group<'_, impl Write + Send>,
    values: &[ByteArray],
    levels: Option<(&[i16], &[i16])>,
) -> Result<()> {
    let mut column = group.next_column()?.expect("invariant: the schema has the columns");
    let (definitions, repetitions) = levels.unzip();
    column.typed::<ByteArrayType>().write_batch(values, definitions, repetitions)?;
    column.close()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use parquet::record::RowAccessor as _;

    use super::*;

    fn row(n: usize) -> AuditRow {
        AuditRow {
            log_id: format!("{n}"),
            timestamp: Timestamp::from_millis(1_795_443_306_789 - n as i64).iso(),
            message: format!("[CRITICAL] order {n} of „ä“ failed {}", "x".repeat(n % 700)),
            routes: (0..n % 3).map(|route| format!("route-{route}")).collect(),
            marker: format!("marker {n}"),
            app_name: format!("app {n}"),
            account_id: format!("account {n}"),
            region: format!("region {n}"),
            log_group: format!("log group {n}"),
            log_stream: format!("log stream {n}"),
            pattern: format!("pattern {n}"),
            source: format!("source {n}"),
            context_before: format!("before {n}"),
            context_after: format!("after {n}"),
        }
    }

    #[test]
    fn rows_read_back_as_they_were() {
        let rows: Vec<AuditRow> = (0..30_000).map(row).collect();
        let mut writer = ParquetWriter::new(Vec::new()).unwrap();
        rows.iter().for_each(|row| writer.add(row.clone()).unwrap());
        let file = SerializedFileReader::new(Bytes::from(writer.finish().unwrap())).unwrap();
        assert!(file.num_row_groups() > 1, "more than one group");
        let schema = file.metadata().file_metadata().schema();
        let columns: Vec<&str> = schema.get_fields().iter().map(|field| field.name()).collect();
        assert_eq!(columns, AuditRow::COLUMNS);
        let mut count = 0;
        for (found, expected) in file.get_row_iter(None).unwrap().zip(&rows) {
            let found = found.unwrap();
            let text = |column| found.get_string(column).unwrap().clone();
            let routes = found.get_list(5).unwrap().elements().iter();
            let routes: Vec<String> =
                routes.map(|route| route.to_string().trim_matches('"').to_owned()).collect();
            let read = AuditRow {
                log_id: text(0),
                timestamp: Timestamp::from_millis(found.get_timestamp_millis(1).unwrap()).iso(),
                marker: text(2),
                app_name: text(3),
                message: text(4),
                routes,
                account_id: text(6),
                region: text(7),
                log_group: text(8),
                log_stream: text(9),
                pattern: text(10),
                source: text(11),
                context_before: text(12),
                context_after: text(13),
            };
            assert_eq!(read, *expected);
            count += 1;
        }
        assert_eq!(count, rows.len());
    }

    #[test]
    fn a_file_may_be_empty_and_a_time_outside_the_usual_years() {
        let empty = ParquetWriter::new(Vec::new()).unwrap().finish().unwrap();
        let file = SerializedFileReader::new(Bytes::from(empty)).unwrap();
        assert_eq!(file.metadata().file_metadata().num_rows(), 0);
        let mut writer = ParquetWriter::new(Vec::new()).unwrap();
        for at in [i64::MIN, i64::MAX] {
            let timestamp = Timestamp::from_millis(at).iso();
            writer.add(AuditRow { timestamp, ..AuditRow::default() }).unwrap();
        }
        let file = SerializedFileReader::new(Bytes::from(writer.finish().unwrap())).unwrap();
        let times = file.get_row_iter(None).unwrap();
        let times: Vec<i64> =
            times.map(|row| row.unwrap().get_timestamp_millis(1).unwrap()).collect();
        assert_eq!(
            times,
            [i64::MIN, i64::MAX].map(|at| {
                Timestamp::from_iso(&Timestamp::from_millis(at).iso()).unwrap().as_millis()
            })
        );
    }
}
