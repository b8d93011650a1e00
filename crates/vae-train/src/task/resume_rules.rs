//! Rules for resuming: which settings of a run may change.

use super::config::ValidConfig;
use crate::error::TrainError;

impl ValidConfig {
    /// Checks that a run with this configuration can be resumed with `new`. Only the totals
    /// `epochs` and `max_steps`, the intervals of logging, checkpoints and sheets, `tensorboard` and
    /// `devices` may change. `replicas` = 0 keeps the number of the run.
    ///
    /// # Errors
    /// Names the first key that differs.
    pub fn may_resume_with(&self, new: &Self) -> Result<(), TrainError> {
        let mut comparable = new.clone().into_inner();
        comparable.train.epochs = self.train.epochs;
        comparable.train.max_steps = self.train.max_steps;
        comparable.train.log_every = self.train.log_every;
        comparable.train.checkpoint_every = self.train.checkpoint_every;
        comparable.train.sheet_every = self.train.sheet_every;
        comparable.train.tensorboard = self.train.tensorboard;
        comparable.train.devices.clone_from(&self.train.devices);
        if new.train.replicas == 0 {
            comparable.train.replicas = self.train.replicas;
        }
        let (old, new) = (self.to_toml(), comparable.to_toml());
        match difference(&old, &new) {
            None => Ok(()),
            Some((key, was, is)) => Err(TrainError::Changed { key, was, is }),
        }
    }
}

/// Returns the first key at which the texts of two configurations differ, with its values.
fn difference(old: &str, new: &str) -> Option<(String, String, String)> {
    fn walk(
        path: &str,
        old: Option<&toml::Value>,
        new: Option<&toml::Value>,
    ) -> Option<(String, String, String)> {
        if let (Some(toml::Value::Table(old)), Some(toml::Value::Table(new))) = (old, new) {
            let keys = old.keys().chain(new.keys().filter(|k| !old.contains_key(*k)));
            let join = |key: &str| {
                if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
            };
            return keys.into_iter().find_map(|k| walk(&join(k), old.get(k), new.get(k)));
        }
        let text = |v: Option<&toml::Value>| v.map_or("unset".to_owned(), ToString::to_string);
        (old != new).then(|| (path.to_owned(), text(old), text(new)))
    }
    let parse = |text: &str| match text.parse::<toml::Table>() {
        Ok(table) => toml::Value::Table(table),
        Err(why) => unreachable!("the text of a configuration is valid TOML: {why}"),
    };
    walk("", Some(&parse(old)), Some(&parse(new)))
}

#[cfg(test)]
mod tests {
    use crate::task::read::tests::config;

    #[test]
    fn a_run_may_grow_and_log_differently_but_nothing_else() {
        let old = config("", &[]);
        for set in
            ["train.epochs=30", "train.max_steps=9", "train.log_every=3", "train.tensorboard=true"]
        {
            assert!(old.may_resume_with(&config("", &[set])).is_ok(), "{set}");
        }
        for (set, key) in [
            ("model.latent=21", "model.latent"),
            ("objective.beta=2.0", "objective.beta"),
            ("data.limit=100", "data.limit"),
            ("train.seed=1", "train.seed"),
            ("train.ema_decay=0.9", "train.ema_decay"),
            ("train.replicas=3", "train.replicas"),
            ("train.optimizer.learning_rate=0.01", "train.optimizer.learning_rate"),
        ] {
            let refusal = old.may_resume_with(&config("", &[set])).unwrap_err().to_string();
            assert!(refusal.contains(key), "{refusal}");
        }
    }
}
