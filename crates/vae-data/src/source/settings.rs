//! `SourceSettings`: how a source is read, as the `[data]` table of a configuration says.

use serde::{Deserialize, Serialize};

/// How a source is read. Each source names the settings that it reads; others are refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceSettings {
    /// Height and width that pictures of a folder are scaled and cropped to, in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<(usize, usize)>,
    /// Channels that pictures of a folder are converted to: 1 (grey) or 3 (colour).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// Whether the first line of a table names the columns. Without it, a line with a cell that is
    /// not a number does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// The columns of a table that x is made of, in this order; without it, all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// Columns of a table that x leaves out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drop_columns: Vec<String>,
    /// The column of a table that identifies each row. It is carried to outputs and is not in x.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_column: Option<String>,
    /// The column of a table that holds the classes. It is not in x.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_column: Option<String>,
    /// Whether the table may lack its id and label columns: new data of a trained model often does.
    /// Never part of a configuration.
    #[serde(skip)]
    pub may_lack_id_and_label: bool,
}

/// One of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `data.size`
    Size,
    /// `data.channels`
    Channels,
    /// `data.header`
    Header,
    /// `data.columns`
    Columns,
    /// `data.drop_columns`
    DropColumns,
    /// `data.id_column`
    IdColumn,
    /// `data.label_column`
    LabelColumn,
}

impl Setting {
    /// Its key in a configuration.
    pub fn key(self) -> &'static str {
        match self {
            Setting::Size => "data.size",
            Setting::Channels => "data.channels",
            Setting::Header => "data.header",
            Setting::Columns => "data.columns",
            Setting::DropColumns => "data.drop_columns",
            Setting::IdColumn => "data.id_column",
            Setting::LabelColumn => "data.label_column",
        }
    }
}

impl SourceSettings {
    /// Whether nothing is set.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The settings that are given.
    pub fn given(&self) -> Vec<Setting> {
        // Taken apart, so that a new field cannot be forgotten here.
        let Self {
            size,
            channels,
            header,
            columns,
            drop_columns,
            id_column,
            label_column,
            may_lack_id_and_label: _,
        } = self;
        [
            (Setting::Size, size.is_some()),
            (Setting::Channels, channels.is_some()),
            (Setting::Header, header.is_some()),
            (Setting::Columns, columns.is_some()),
            (Setting::DropColumns, !drop_columns.is_empty()),
            (Setting::IdColumn, id_column.is_some()),
            (Setting::LabelColumn, label_column.is_some()),
        ]
        .into_iter()
        .filter_map(|(setting, given)| given.then_some(setting))
        .collect()
    }

    /// These settings without those that a source does not read.
    pub fn only(&self, read: &[Setting]) -> Self {
        let mut kept = self.clone();
        for setting in self.given().into_iter().filter(|setting| !read.contains(setting)) {
            match setting {
                Setting::Size => kept.size = None,
                Setting::Channels => kept.channels = None,
                Setting::Header => kept.header = None,
                Setting::Columns => kept.columns = None,
                Setting::DropColumns => kept.drop_columns = Vec::new(),
                Setting::IdColumn => kept.id_column = None,
                Setting::LabelColumn => kept.label_column = None,
            }
        }
        kept
    }
}
