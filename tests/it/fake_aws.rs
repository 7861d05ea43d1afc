//! AWS made up: queues and buckets in this process, behind SQS's and S3's protocols, which fail on purpose
//! and by seed. Faster than moto by far, and able to lose answers, cut bodies and lie about lengths.

mod bucket;
mod faults;
mod http;
mod queue;
mod sqs;
mod sts;

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::{Arc, Condvar, Mutex};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_s3::config::Credentials;

pub(crate) use bucket::StoredObject;
pub(crate) use faults::{Faults, Share};
pub(crate) use queue::{FakeQueue, Received};

/// A server of made-up AWS. It ends with the process.
#[derive(Clone)]
pub(crate) struct FakeAws {
    shared: Arc<Shared>,
    port: u16,
}

#[derive(Default)]
struct Shared {
    queues: Mutex<HashMap<String, FakeQueue>>,
    sent: Condvar,
    buckets: Mutex<HashMap<String, bucket::Bucket>>,
    faults: Mutex<Faults>,
    requests: Mutex<HashMap<String, u64>>,
    /// Roles that may be assumed, and the external id that each asks for.
    external_ids: Mutex<HashMap<String, String>>,
}

impl FakeAws {
    pub(crate) fn start(faults: Faults) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { faults: Mutex::new(faults), ..Shared::default() });
        let served = shared.clone();
        std::thread::spawn(move || http::serve(&listener, &served));
        FakeAws { shared, port }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What makes a client of the SDK come here.
    pub(crate) async fn config(&self) -> SdkConfig {
        aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(self.endpoint())
            .region("us-east-1")
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .load()
            .await
    }

    /// What makes a process come here.
    pub(crate) fn environment(&self) -> [(&'static str, String); 7] {
        [
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
        ]
    }

    /// Creates a queue; returns its URL.
    pub(crate) fn create_queue(&self, name: &str, queue: FakeQueue) -> String {
        self.shared.queues.lock().unwrap().insert(name.to_owned(), queue);
        format!("{}/111122223333/{name}", self.endpoint())
    }

    pub(crate) fn with_queue<T>(&self, name: &str, ask: impl FnOnce(&mut FakeQueue) -> T) -> T {
        ask(self.shared.queues.lock().unwrap().get_mut(name).expect("no such queue"))
    }

    pub(crate) fn send(&self, queue: &str, body: &str) {
        self.with_queue(queue, |queue| queue.send(body));
        self.shared.sent.notify_all();
    }

    pub(crate) fn with_bucket<T>(&self, name: &str, ask: impl FnOnce(&mut bucket::Bucket) -> T) -> T {
        ask(self.shared.buckets.lock().unwrap().entry(name.to_owned()).or_default())
    }

    pub(crate) fn put(&self, bucket: &str, key: &str, bytes: Vec<u8>) {
        self.with_bucket(bucket, |bucket| bucket.put(key, StoredObject { bytes, ..StoredObject::default() }));
    }

    /// Lets whoever knows the external id assume a role.
    pub(crate) fn create_role(&self, name: &str, external_id: &str) {
        self.shared.external_ids.lock().unwrap().insert(name.to_owned(), external_id.to_owned());
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        *self.shared.faults.lock().unwrap() = faults;
    }

    /// How often an action was asked for, such as `ReceiveMessage` or `GetObject`.
    pub(crate) fn requests(&self, action: &str) -> u64 {
        self.shared.requests.lock().unwrap().get(action).copied().unwrap_or(0)
    }
}

impl Shared {
    fn count(&self, action: &str) {
        *self.requests.lock().unwrap().entry(action.to_owned()).or_default() += 1;
    }
}
