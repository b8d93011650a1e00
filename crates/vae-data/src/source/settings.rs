//! `SourceSettings`: the settings of a source, from the `[data]` table of a configuration.

use serde::{Deserialize, Serialize};

/// The settings of a source. Each source has a list of settings that it uses. Others are refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceSettings {
    /// Height and width in pixels that images of a folder are scaled and cropped to. Also the height and
    /// width of `sprites`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<(usize, usize)>,
    /// Number of channels that images of a folder are converted to: 1 (grey) or 3 (colour).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// Whether the first line of a table has the names of the columns. Without this setting, it has
    /// if one of its cells is not a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// The columns of a table that form x, in this order. Without this setting, all columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// Columns of a table that are not part of x.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drop_columns: Vec<String>,
    /// The column of a table that identifies each row. It is copied to outputs and is not part of
    /// x.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_column: Option<String>,
    /// The column of a table that has the classes. It is not part of x.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_column: Option<String>,
    /// Whether the table may have no id and label columns, like new data for a trained model. Not
    /// part of a configuration.
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
    /// Returns the key in a configuration.
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
    /// Returns whether all settings have their default values.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the settings that are given.
    pub fn given(&self) -> Vec<Setting> {
        // All fields are named, so that the compiler reports a new field.
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

    /// Returns the settings without those that are not in `read`.
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
