//! Rows in another order to a Parquet file, column by column: of texts that are codes, only the codes are gathered.

use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, RecordBatch, StructArray, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, FieldRef, Fields, Schema, SchemaRef, UInt32Type};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::ColumnDescPtr;

use super::chunk::{ChunkWriter, Coded, Levels, NO_TEXT};
use super::{GATHER_ROWS, ROW_GROUP_ROWS, ZSTD_LEVEL};

/// Writes the rows of `batch` that `places` names, in its order. `schema` is that of the file: the batch's with
/// texts for codes.
pub(super) fn write(
    batch: &RecordBatch,
    places: &UInt32Array,
    schema: &SchemaRef,
    properties: WriterProperties,
) -> Result<(Vec<u8>, ParquetMetaData)> {
    let properties = Arc::new(properties);
    let parquet = ArrowSchemaConverter::new().convert(schema)?;
    let mut bytes = Vec::new();
    let mut file = SerializedFileWriter::new(&mut bytes, parquet.root_schema_ptr(), properties.clone())?;
    let mut chunks = ChunkWriter::new(properties.clone(), ZSTD_LEVEL)?;
    let group_rows = properties.max_row_group_row_count().unwrap_or(ROW_GROUP_ROWS);
    for (index, start) in (0..places.len()).step_by(group_rows).enumerate() {
        let places = places.slice(start, group_rows.min(places.len() - start));
        let mut group = RowGroup {
            index,
            places,
            properties: properties.clone(),
            leaves: parquet.columns(),
            chunks: &mut chunks,
            codes: Vec::new(),
            file: file.next_row_group()?,
        };
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            group.write(&mut vec![], field, column, &Levels::Same(0))?;
        }
        group.file.close()?;
    }
    let metadata = file.close()?;
    Ok((bytes, metadata))
}

/// A row group that is being written.
struct RowGroup<'a, 'b> {
    index: usize,
    places: UInt32Array,
    properties: WriterPropertiesPtr,
    /// The leaves that are to come.
    leaves: &'a [ColumnDescPtr],
    chunks: &'a mut ChunkWriter,
    codes: Vec<u32>,
    file: SerializedRowGroupWriter<'a, &'b mut Vec<u8>>,
}

/// The structs that a column is in, from the outermost.
type Path<'a> = Vec<(&'a FieldRef, &'a StructArray)>;

impl RowGroup<'_, '_> {
    fn write<'a>(
        &mut self,
        path: &mut Path<'a>,
        field: &'a FieldRef,
        column: &'a ArrayRef,
        parents: &Levels,
    ) -> Result<()> {
        if let (Some(structs), DataType::Struct(members)) = (column.as_struct_opt(), field.data_type()) {
            let levels = levels(parents, u8::try_from(path.len())?, structs, &self.places);
            path.push((field, structs));
            for (field, column) in members.iter().zip(structs.columns()) {
                self.write(path, field, column, levels.as_ref().unwrap_or(parents))?;
            }
            path.pop();
            return Ok(());
        }
        match column.as_dictionary_opt::<UInt32Type>() {
            Some(codes) if self.write_codes(codes, path.len(), parents)? => Ok(()),
            _ => self.write_texts(path, field, column),
        }
    }

    /// Whether it has written the codes: their texts may be too much for a dictionary.
    fn write_codes(
        &mut self,
        column: &DictionaryArray<UInt32Type>,
        depth: usize,
        parents: &Levels,
    ) -> Result<bool> {
        let (leaf, others) = self.leaves.split_first().context("a column that is not in the file")?;
        let texts = column.values().as_string_opt::<i32>().context("codes of what is no text")?;
        if !self.properties.dictionary_enabled(leaf.path()) || texts.null_count() > 0 {
            return Ok(false);
        }
        gather(column, &self.places, depth, parents, &mut self.codes);
        let mut coded = Coded { column: leaf.clone(), texts, codes: &mut self.codes, parents };
        let Some((bytes, closed)) = self.chunks.write(&mut coded)? else { return Ok(false) };
        self.leaves = others;
        self.file.append_column(&bytes, closed)?;
        Ok(true)
    }

    /// Lets the parquet crate write a column, some rows at a time: they are gathered, which copies them.
    fn write_texts(&mut self, path: &Path, field: &FieldRef, column: &ArrayRef) -> Result<()> {
        let mut writers = self.column_writers(path, field)?;
        self.leaves = self.leaves.get(writers.len()..).context("columns that are not in the file")?;
        for start in (0..self.places.len()).step_by(GATHER_ROWS) {
            let places = self.places.slice(start, GATHER_ROWS.min(self.places.len() - start));
            let (field, gathered) = within(path, field.clone(), chosen(column, &places)?, &places)?;
            for (leaf, writer) in compute_leaves(&field, &gathered)?.iter().zip(&mut writers) {
                writer.write(leaf)?;
            }
        }
        for writer in writers {
            writer.close()?.append_to_row_group(&mut self.file)?;
        }
        Ok(())
    }

    /// The crate's writers of a column, those and no more: each has zstd's memory for itself. The crate makes them
    /// of a file only, so this is one that has the column alone and goes nowhere.
    fn column_writers(&self, path: &Path, field: &FieldRef) -> Result<Vec<ArrowColumnWriter>> {
        let outermost = path.iter().rev().fold(field.clone(), |member, (parent, _)| alone(parent, member));
        let schema = Arc::new(Schema::new(vec![outermost]));
        let parquet = ArrowSchemaConverter::new().convert(&schema)?;
        let file =
            SerializedFileWriter::new(std::io::sink(), parquet.root_schema_ptr(), self.properties.clone())?;
        Ok(ArrowRowGroupWriterFactory::new(&file, schema).create_column_writers(self.index)?)
    }
}

/// The levels of a struct's members; `None` if they are those of the struct.
fn levels(parents: &Levels, depth: u8, structs: &StructArray, places: &UInt32Array) -> Option<Levels> {
    let present = structs.nulls();
    if structs.null_count() == structs.len() {
        return None;
    }
    let level = |level: u8, place: &u32| {
        level + u8::from(level == depth && present.is_none_or(|present| present.is_valid(*place as usize)))
    };
    match parents {
        Levels::Same(same) if *same < depth => None,
        Levels::Same(same) if structs.null_count() == 0 => Some(Levels::Same(same + 1)),
        Levels::Same(same) => {
            Some(Levels::Each(places.values().iter().map(|place| level(*same, place)).collect()))
        }
        Levels::Each(each) => {
            let levels = each.iter().zip(places.values()).map(|(parent, place)| level(*parent, place));
            Some(Levels::Each(levels.collect()))
        }
    }
}

/// Gathers the codes of rows.
fn gather(
    column: &DictionaryArray<UInt32Type>,
    places: &UInt32Array,
    depth: usize,
    parents: &Levels,
    gathered: &mut Vec<u32>,
) {
    gathered.clear();
    let codes = column.keys().values();
    let missing = matches!(parents, Levels::Same(level) if usize::from(*level) < depth);
    match column.keys().nulls().filter(|present| present.null_count() > 0) {
        _ if missing => gathered.resize(places.len(), NO_TEXT),
        Some(present) if present.null_count() == column.len() => gathered.resize(places.len(), NO_TEXT),
        Some(present) => gathered.extend(places.values().iter().map(|place| {
            let place = *place as usize;
            if present.is_valid(place) { codes[place] } else { NO_TEXT }
        })),
        None => gathered.extend(places.values().iter().map(|place| codes[*place as usize])),
    }
    if let Levels::Each(levels) = parents {
        let parents = levels.iter().map(|level| usize::from(*level) == depth);
        gathered.iter_mut().zip(parents).filter(|(_, there)| !there).for_each(|(code, _)| *code = NO_TEXT);
    }
}

/// What `take` does, but for nothing where there is nothing, and with texts for codes.
fn chosen(column: &ArrayRef, places: &UInt32Array) -> Result<ArrayRef> {
    if let Some(codes) = column.as_dictionary_opt::<UInt32Type>() {
        return Ok(take(codes.values(), &take(codes.keys(), places, None)?, None)?);
    }
    if column.null_count() == column.len() {
        return Ok(column.slice(0, places.len()));
    }
    Ok(take(column, places, None)?)
}

/// A struct that has this member only.
fn alone(parent: &FieldRef, member: FieldRef) -> FieldRef {
    Arc::new(parent.as_ref().clone().with_data_type(DataType::Struct(Fields::from(vec![member]))))
}

/// A column in the structs that it is in, without their other members.
fn within(
    path: &Path,
    mut field: FieldRef,
    mut column: ArrayRef,
    places: &UInt32Array,
) -> Result<(FieldRef, ArrayRef)> {
    for (parent, structs) in path.iter().rev() {
        let present = structs.nulls().map(|present| {
            places.values().iter().map(|place| present.is_valid(*place as usize)).collect::<NullBuffer>()
        });
        column = Arc::new(StructArray::try_new(Fields::from(vec![field.clone()]), vec![column], present)?);
        field = alone(parent, field);
    }
    Ok((field, column))
}
