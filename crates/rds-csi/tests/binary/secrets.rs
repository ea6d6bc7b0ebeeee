//! What no log may show.

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::process::{PASSWORD, Setup};

/// `base64("rds-csi:correct-horse-battery")`, what basic authentication sends.
const BASIC: &str = "cmRzLWNzaTpjb3JyZWN0LWhvcnNlLWJhdHRlcnk=";

#[tokio::test]
async fn the_password_is_never_logged_even_when_everything_is() {
    let device = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", device.local_addr().unwrap());
    for format in ["text", "json"] {
        let setup = Setup::controller(&address).with("--log-level", "trace").with("--log-format", format);
        let mut running = setup.start().await;
        let (mut connection, _) = device.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert_ne!(connection.read_buf(&mut request).await.unwrap(), 0);
        }
        let request = String::from_utf8(request).unwrap();
        assert!(request.contains(BASIC), "the password was used: {request}");
        drop(connection);
        running.logged("the device cannot be served").await;
        running.terminate();
        assert!(running.ended().await.success());
        assert!(running.log.contains("TRACE"), "{}", running.log);
        for secret in [PASSWORD, BASIC] {
            assert!(!running.log.contains(secret), "{}", running.log);
        }
    }
}
