"""The reader of each format of tables."""

from collections.abc import Callable, Mapping

from audits.sources.formats import Format
from audits.sources.records.example_file import ExampleFile
from audits.sources.records.saved_dataset import SavedTable
from audits.sources.tables.arrow_files import ArrowFile, ParquetFile
from audits.sources.tables.columns import TableFile, TableSource
from audits.sources.tables.csv_file import CsvFile
from audits.sources.tables.hdf5_file import Hdf5Table
from audits.sources.tables.json_file import JsonFile

READERS: Mapping[Format, Callable[[TableSource], TableFile]] = {
    "csv": CsvFile,
    "parquet": ParquetFile,
    "arrow": ArrowFile,
    "jsonl": JsonFile,
    "tfrecord": ExampleFile,
    "hdf5": Hdf5Table,
    "saved_dataset": SavedTable,
}
