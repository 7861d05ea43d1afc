//! Against the parquet crate's own writer: the same bytes.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::option_option,
    reason = "columns are short, and no text is another thing than none in particular"
)]

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int32Array, ListArray, RecordBatch, StringArray, StructArray,
    UInt32Array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{cast, concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Fields, Int32Type, Schema, UInt32Type};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use parquet::file::reader::{FileReader, SerializedFileReader};
use proptest::prelude::*;

use super::{ROW_GROUP_ROWS, encode_events, sorted};
use crate::event::{EventBuilder, Origin, as_texts, with_texts};
use crate::log_file::{Limits, LogFile};

fn properties(page_rows: usize) -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap()))
        .set_data_page_row_count_limit(page_rows)
        // The crate looks whether a page is full after so many rows.
        .set_write_batch_size(page_rows)
}

fn ours(batch: &RecordBatch, places: &UInt32Array, properties: &WriterProperties) -> Vec<u8> {
    sorted::write(batch, places, &with_texts(&batch.schema()), properties.clone()).unwrap().0
}

fn theirs(batch: &RecordBatch, places: &UInt32Array, properties: &WriterProperties) -> Vec<u8> {
    let batch = take_record_batch(&as_texts(batch), places).unwrap();
    let options = parquet::arrow::arrow_writer::ArrowWriterOptions::new()
        .with_properties(properties.clone())
        .with_skip_arrow_metadata(true);
    let mut bytes = vec![];
    let mut writer = ArrowWriter::try_new_with_options(&mut bytes, batch.schema(), options).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn codes(texts: &[Option<String>]) -> ArrayRef {
    cast(&StringArray::from_iter(texts), &codes_type()).unwrap()
}

fn codes_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8))
}

/// Members of a row: of the top, of a struct, of a struct in it; whether these are there.
type Row = ([Option<String>; 4], [bool; 2]);

/// `top`, `outer` with `name`, `more` and `inner`, which has `name` and a list, and `number`.
fn batch(rows: &[Row]) -> RecordBatch {
    let column =
        |index: usize| -> Vec<Option<String>> { rows.iter().map(|row| row.0[index].clone()).collect() };
    let there = |index: usize| Some(rows.iter().map(|row| row.1[index]).collect::<NullBuffer>());
    let text = |name, data_type: DataType| Field::new(name, data_type, true);
    let lists = rows.iter().map(|row| row.0[3].as_ref().map(|text| vec![None, Some(text.len() as i32)]));
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(lists);
    let inner_fields = Fields::from(vec![text("name", codes_type()), text("list", list.data_type().clone())]);
    let inner = StructArray::new(inner_fields.clone(), vec![codes(&column(2)), Arc::new(list)], there(1));
    let plain: ArrayRef = Arc::new(StringArray::from_iter(column(3)));
    let outer_fields = Fields::from(vec![
        text("name", codes_type()),
        text("more", DataType::Utf8),
        text("inner", DataType::Struct(inner_fields)),
    ]);
    let outer =
        StructArray::new(outer_fields.clone(), vec![codes(&column(1)), plain, Arc::new(inner)], there(0));
    let schema = Schema::new(vec![
        text("top", codes_type()),
        text("outer", DataType::Struct(outer_fields)),
        text("number", DataType::Int32),
    ]);
    let number = Int32Array::from_iter_values(0..rows.len() as i32);
    let columns: Vec<ArrayRef> = vec![codes(&column(0)), Arc::new(outer), Arc::new(number)];
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

/// Few texts, and some that are long, empty or end in what takes several bytes where a bound is cut.
fn text() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        3 => Just(None),
        2 => "[a-c]{0,2}".prop_map(Some),
        1 => ".{0,12}".prop_map(Some),
        1 => "x{60,63}[é€𐍈\u{10FFFF}]{1,3}y?".prop_map(Some),
        1 => "\u{10FFFF}{15,20}".prop_map(Some),
    ]
}

/// Rows that repeat: what stands for a run of texts, or of nothing.
fn rows() -> impl Strategy<Value = Vec<Row>> {
    let members = [text(), text(), text(), text()];
    let run = (members, any::<[bool; 2]>(), prop_oneof![3 => 1..4usize, 1 => 1..70usize]);
    prop::collection::vec(run, 1..40).prop_map(|runs| {
        runs.into_iter().flat_map(|(members, there, length)| vec![(members, there); length]).collect()
    })
}

/// Makes columns one text, or nothing, throughout.
fn make_same(rows: &mut [Row], texts: &[Option<Option<String>>; 4], there: [Option<bool>; 2]) {
    for (members, structs) in rows {
        for (member, text) in members.iter_mut().zip(texts) {
            *member = text.clone().unwrap_or(member.take());
        }
        for (one, there) in structs.iter_mut().zip(there) {
            *one = there.unwrap_or(*one);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn a_file_has_the_bytes_that_the_crate_would_write(
        rows in rows(),
        all in prop::array::uniform4(prop::option::weighted(0.2, text())),
        there in prop::array::uniform2(prop::option::weighted(0.4, any::<bool>())),
        page_rows in 1..90usize,
        group_rows in 20..400usize,
        dictionary_bytes in prop_oneof![Just(1 << 20), 1..2000usize],
        seed in any::<u64>(),
    ) {
        let mut rows = rows;
        make_same(&mut rows, &all, there);
        let batch = batch(&rows);
        let mut places: Vec<u32> = (0..rows.len() as u32).collect();
        fastrand::Rng::with_seed(seed).shuffle(&mut places);
        if seed % 2 == 0 {
            places.sort_unstable();
        }
        let places = UInt32Array::from(places);
        let properties = properties(page_rows)
            .set_max_row_group_row_count(Some(group_rows))
            .set_dictionary_page_size_limit(dictionary_bytes)
            .set_column_bloom_filter_max_ndv("top".into(), 500)
            .set_column_dictionary_enabled("outer.name".into(), seed % 3 > 0)
            .build();
        let (ours, theirs) = (ours(&batch, &places, &properties), theirs(&batch, &places, &properties));
        if ours != theirs {
            same_metadata(&ours, &theirs);
        }
        prop_assert!(ours == theirs);
        let read = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(ours)).unwrap();
        let read: Vec<RecordBatch> = read.with_batch_size(1 << 20).build().unwrap().map(Result::unwrap).collect();
        let read = concat_batches(&read[0].schema(), &read).unwrap();
        prop_assert_eq!(read, take_record_batch(&as_texts(&batch), &places).unwrap());
    }
}

/// What differs is told by name.
fn same_metadata(ours: &[u8], theirs: &[u8]) {
    let metadata = |bytes: &[u8]| {
        let reader = SerializedFileReader::new(Bytes::copy_from_slice(bytes)).unwrap();
        reader.metadata().row_groups().to_vec()
    };
    for (ours, theirs) in metadata(ours).iter().zip(&metadata(theirs)) {
        for (ours, theirs) in ours.columns().iter().zip(theirs.columns()) {
            assert_eq!(ours, theirs);
        }
    }
}

/// Rows of codes of so many different texts, in the opposite order, and how large row groups are written.
fn many(different: &[u32]) -> (RecordBatch, UInt32Array, WriterProperties) {
    let rows = ROW_GROUP_ROWS + 30_000;
    let mut random = fastrand::Rng::with_seed(7);
    let column = |different: &u32| {
        let texts = StringArray::from_iter_values((0..*different).map(|text| format!("{text:x}")));
        let codes = (0..rows).map(|_| random.u8(..).gt(&9).then(|| random.u32(..*different)));
        Arc::new(DictionaryArray::<UInt32Type>::new(codes.collect(), Arc::new(texts))) as ArrayRef
    };
    let columns: Vec<ArrayRef> = different.iter().map(column).collect();
    let field = |different: &u32| Field::new(different.to_string(), codes_type(), true);
    let schema = Schema::new(different.iter().map(field).collect::<Vec<_>>());
    let batch = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
    let properties = properties(20_000).set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
    (batch, UInt32Array::from_iter_values((0..rows as u32).rev()), properties.build())
}

#[test]
fn large_row_groups_have_the_bytes_that_the_crate_would_write() {
    // Codes of one bit, of some, and of so many that eight of them take more than sixteen bytes.
    let (batch, places, properties) = many(&[2, 300, 100_000]);
    let (ours, theirs) = (ours(&batch, &places, &properties), theirs(&batch, &places, &properties));
    same_metadata(&ours, &theirs);
    assert!(ours == theirs);
}

#[test]
fn texts_that_are_too_much_for_a_dictionary_are_written_without() {
    let (batch, places, properties) = many(&[1_000_000]);
    let file = Bytes::from(ours(&batch, &places, &properties));
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let encodings = |group: &RowGroupMetaData| group.column(0).encodings().any(|one| one == Encoding::PLAIN);
    let groups = reader.metadata().row_groups();
    assert_eq!(groups.iter().map(encodings).collect::<Vec<_>>(), [true, true]);
    let read: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    let read = concat_batches(&read[0].schema(), &read).unwrap();
    assert_eq!(read, take_record_batch(&as_texts(&batch), &places).unwrap());
}

#[test]
fn different_texts_of_one_log_file_are_all_read_back() {
    // More than a row group has rows, and than a dictionary has room for.
    let count = ROW_GROUP_ROWS + 20_000;
    let id = |n: usize| format!("{n:036}");
    let agent = |n: usize| format!("an agent that calls itself {n}");
    let arn = |n: usize| format!("arn:aws:iam::111122223333:user/{n}");
    let record = |n: usize| {
        let (id, agent, arn) = (id(n), agent(n), arn(n));
        let time = "2026-01-05T12:00:00Z";
        format!(
            r#"{{"eventTime":"{time}","eventID":"{id}","userAgent":"{agent}","userIdentity":{{"arn":"{arn}"}}}}"#
        )
    };
    let records: Vec<String> = (0..count).map(record).collect();
    let text = format!(r#"{{"Records":[{}]}}"#, records.join(","));
    let file = LogFile::read(text.as_bytes(), &Limits::default()).unwrap();
    let origin = Origin { log_file: "s3://b/k", account: None, region: None, log_date: None };
    let mut builder = EventBuilder::new();
    builder.append(&file, &origin, u64::MAX).unwrap();
    let files = encode_events(&[builder.finish_as_codes()]).unwrap();
    assert_eq!(files.len(), 1);
    let rows = ParquetRecordBatchReaderBuilder::try_new(files[0].bytes.clone()).unwrap().build().unwrap();
    let mut at = 0;
    for rows in rows.map(Result::unwrap) {
        let texts = |column: &ArrayRef| cast(column, &DataType::Utf8).unwrap();
        let ids = texts(rows.column_by_name("eventid").unwrap());
        let agents = texts(rows.column_by_name("useragent").unwrap());
        let arns =
            texts(rows.column_by_name("useridentity").unwrap().as_struct().column_by_name("arn").unwrap());
        for row in 0..rows.num_rows() {
            let read = [&ids, &agents, &arns].map(|column| column.as_string::<i32>().value(row));
            assert_eq!(read, [id(at), agent(at), arn(at)]);
            at += 1;
        }
    }
    assert_eq!(at, count);
}

#[test]
fn a_text_under_a_missing_struct_is_missing() {
    let fields = Fields::from(vec![Field::new("name", codes_type(), true)]);
    let names = codes(&[Some("a".to_owned()), Some("b".to_owned()), Some("a".to_owned())]);
    let structs = StructArray::new(fields.clone(), vec![names], Some(vec![true, false, true].into()));
    let schema = Schema::new(vec![Field::new("structs", DataType::Struct(fields), true)]);
    let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(structs)]).unwrap();
    let places = UInt32Array::from(vec![1, 0, 2]);
    let properties = properties(20_000).build();
    assert!(ours(&batch, &places, &properties) == theirs(&batch, &places, &properties));
}
