//! The Identity service.

use csi_grpc::v1::identity_client::IdentityClient;
use csi_grpc::v1::identity_server::IdentityServer;
use csi_grpc::v1::plugin_capability::{Service, Type, service};
use csi_grpc::v1::{GetPluginCapabilitiesRequest, GetPluginInfoRequest, ProbeRequest};
use csi_server::{Identity, Readiness, STOP_GRACE};
use tonic::service::Routes;

use crate::harness::{Harness, Script, channel};

#[tokio::test]
async fn the_plugin_says_who_it_is_and_whether_it_is_ready() {
    let readiness = Readiness::not_ready("not asked yet");
    let identity =
        Identity::new("test.example.org", "1.2.3", &[service::Type::ControllerService], readiness.clone());
    let routes = Routes::new(IdentityServer::new(identity));
    let harness = Harness::serving(routes, Script::default(), STOP_GRACE).await;
    let mut client = IdentityClient::new(channel(&harness.endpoint).await);

    let info = client.get_plugin_info(GetPluginInfoRequest {}).await.unwrap().into_inner();
    assert_eq!((info.name.as_str(), info.vendor_version.as_str()), ("test.example.org", "1.2.3"));

    let offered = client.get_plugin_capabilities(GetPluginCapabilitiesRequest {}).await.unwrap().into_inner();
    let controller = Type::Service(Service { r#type: service::Type::ControllerService.into() });
    assert_eq!(
        offered.capabilities.into_iter().map(|one| one.r#type.unwrap()).collect::<Vec<_>>(),
        [controller]
    );

    for (news, ready) in [(false, false), (true, true), (false, true)] {
        if ready {
            assert_eq!(readiness.set_ready(), news);
        }
        let probed = client.probe(ProbeRequest {}).await.unwrap().into_inner();
        assert_eq!(probed.ready, Some(ready));
    }
    assert!(readiness.set_not_ready("the device is gone"));
    assert_eq!(client.probe(ProbeRequest {}).await.unwrap().into_inner().ready, Some(false));
}
