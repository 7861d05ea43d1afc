//! Where public keys come from: CloudTrail's API, or a list at hand.

use std::collections::HashMap;
use std::sync::Mutex;

use aws_config::{Region, SdkConfig};
use chrono::{DateTime, Utc};

use crate::cloudtrail::{ApiError, CloudTrail};
use crate::digest::ListedKey;

/// Public keys by the name that digests have for them.
pub(super) type Keys = HashMap<String, ListedKey>;

/// Where public keys come from.
#[derive(Debug)]
pub enum KeySource {
    /// `ListPublicKeys`, of each region.
    Api(Box<Api>),
    /// A list: a file, or the keys that a lake has seen.
    Listed(Keys),
}

/// `ListPublicKeys`, of each region.
#[derive(Debug)]
pub struct Api {
    config: SdkConfig,
    endpoint_url: Option<String>,
    regions: Mutex<HashMap<String, CloudTrail>>,
}

impl KeySource {
    /// Asks CloudTrail.
    pub fn api(config: SdkConfig, endpoint_url: Option<String>) -> Self {
        KeySource::Api(Box::new(Api { config, endpoint_url, regions: Mutex::default() }))
    }

    /// Takes keys that are at hand, in either form of DER, under the names in the list and their own.
    pub fn listed(keys: &[ListedKey]) -> Self {
        let mut named = Keys::new();
        for key in keys {
            let own = key.public_key();
            let key = ListedKey { der: own.pkcs1, ..key.clone() };
            named.insert(own.fingerprint.clone(), ListedKey { fingerprint: own.fingerprint, ..key.clone() });
            named.entry(key.fingerprint.clone()).or_insert(key);
        }
        KeySource::Listed(named)
    }

    /// The keys of a region that were in use between two times. A list is given whole.
    pub(super) async fn between(
        &self,
        region: &str,
        start: DateTime<Utc>,
        end: DateTime<Utc>,
    ) -> Result<Keys, ApiError> {
        match self {
            KeySource::Listed(keys) => Ok(keys.clone()),
            KeySource::Api(api) => {
                let keys = api.of_region(region).list_keys(start, end).await?;
                Ok(keys.into_iter().map(|key| (key.fingerprint.clone(), key)).collect())
            }
        }
    }
}

impl Api {
    fn of_region(&self, region: &str) -> CloudTrail {
        let Ok(mut regions) = self.regions.lock() else {
            return self.connect(region);
        };
        regions.entry(region.to_owned()).or_insert_with(|| self.connect(region)).clone()
    }

    fn connect(&self, region: &str) -> CloudTrail {
        let config = self.config.clone().into_builder().region(Region::new(region.to_owned())).build();
        CloudTrail::new(&config, self.endpoint_url.as_deref())
    }
}
