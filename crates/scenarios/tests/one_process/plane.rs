//! The simulated device's exports, served by the fabric in memory.

use std::io;

use host::fake::{Export as Served, FakeFabric};
use routeros_sim::assumptions::{Growth, Unexport};
use routeros_sim::plane::{DataPlane, Export, Sessions};

/// Glues the simulator to the fabric that the fake kernels connect to.
pub(crate) struct Plane(pub(crate) FakeFabric);

impl DataPlane for Plane {
    fn export(&self, export: &Export) -> io::Result<()> {
        self.0.export(served(export));
        Ok(())
    }

    fn unexport(&self, export: &Export, _: Unexport) -> io::Result<()> {
        self.0.unexport(&export.nqn);
        Ok(())
    }

    fn allow_hosts(&self, export: &Export, _: bool) -> io::Result<()> {
        self.0.export(served(export));
        Ok(())
    }

    fn grow(&self, export: &Export, _: Growth) -> io::Result<()> {
        self.0.resize(&export.nqn, export.size);
        Ok(())
    }

    fn listen(&self, _: &[u16]) -> io::Result<()> {
        Ok(())
    }

    fn reset(&self) -> io::Result<()> {
        self.0.set_exports(Vec::new());
        Ok(())
    }

    fn sessions(&self, nqn: &str) -> Sessions {
        Sessions::Known(self.0.sessions(nqn))
    }

    fn describe(&self) -> String {
        "a fabric in memory".to_owned()
    }
}

fn served(export: &Export) -> Served {
    Served {
        nqn: export.nqn.clone(),
        volume: export.image.clone(),
        namespace_uuid: export.identity.uuid,
        bytes: export.size,
        allowed_hosts: (!export.hosts.is_empty()).then(|| export.hosts.clone()),
    }
}
