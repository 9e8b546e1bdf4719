// `#[cfg]` and `#[cfg_attr]` on blocks, methods, attributes of ours, arguments and fields.

use mycelia::prelude::*;
use mycelia::observe::EndReason;
use mycelia::supervise::Failure;

#[derive(Message)]
#[message(reply = &'static str)]
#[cfg_attr(all(), derive(Clone))]
struct Ask;

#[derive(Message)]
#[cfg_attr(all(), message(reply = u8))]
#[cfg_attr(any(), message(reply = u16))]
struct Other {
    #[cfg(any())]
    absent: NoSuchType,
}

#[derive(Subsystem, Default)]
#[cfg_attr(all(), subsystem(name = "api"))]
#[cfg_attr(any(), subsystem(name = "no name"))]
struct Api {
    #[cfg(any())]
    absent: NoSuchType,
    started: u8,
}

#[routes]
#[cfg(not(miri))]
impl Api {
    #[cfg_attr(all(), route("there/{id}"))]
    #[cfg_attr(any(), route("absent"))]
    #[cfg_attr(all(), cfg_attr(all(), route("deep/{id}"), inline), cfg_attr(any(), route("deeper")))]
    fn ask(&mut self, _: Ask, _: Path<u8>) -> &'static str {
        "ask"
    }

    #[cfg(any())]
    #[route("absent")]
    fn absent(&mut self, _: NoSuchType) {}

    #[cfg_attr(all(), cfg(any()))]
    #[route("absent")]
    fn absent_too(&mut self, _: NoSuchType) {}

    #[cfg(not(miri))]
    #[route("one")]
    fn one(&mut self, _: Other) -> u8 {
        1
    }

    #[cfg(not(all()))]
    #[route("one")]
    fn one(&mut self, _: Other) -> u8 {
        2
    }

    #[route("arguments/{a}/{b}")]
    async fn arguments(
        &mut self,
        _: Other,
        #[cfg(not(miri))] Path(a): Path<u8>,
        #[cfg(any())] absent: NoSuchType,
        #[cfg_attr(all(), cfg(not(any())), allow(unused))] Path(b): Path<u8>,
        #[cfg_attr(any(), cfg(any()))] _: Sender,
    ) -> u8 {
        a + b
    }

    #[cfg_attr(all(), started)]
    fn begin(&mut self, #[cfg(any())] absent: NoSuchType, _: Context) {
        self.started += 1;
    }

    #[cfg_attr(any(), started)]
    #[allow(dead_code)]
    fn never(&mut self) {
        panic!("this is no hook");
    }

    #[cfg(not(miri))]
    #[restarting]
    fn again(&mut self, _: Failure) {}

    #[cfg(any())]
    #[restarting]
    fn again(&mut self, _: Failure, _: NoSuchType) {}

    #[cfg(any())]
    #[stopped]
    fn end(&mut self, _: NoSuchType) {}

    #[cfg(not(miri))]
    #[stopped]
    fn end(&mut self, _: EndReason) {
        assert_eq!(self.started, 1);
    }
}

/// The whole block twice, under conditions that exclude each other.
#[derive(Subsystem)]
struct Twice;

#[routes]
#[cfg(not(miri))]
impl Twice {
    #[route("here")]
    fn ask(&mut self, _: Ask) -> &'static str {
        "twice"
    }
}

#[routes]
#[cfg(any())]
impl Twice {
    #[route("here")]
    fn ask(&mut self, _: Ask) -> &'static str {
        "never"
    }
}

#[cfg_attr(all(), mycelia::main)]
pub(crate) async fn main() -> anyhow::Result<()> {
    let system = System::builder().start().await?;
    system.mount(Api::default).await?;
    system.mount(|| Twice).await?;
    for there in ["api://there/1", "api://deep/1"] {
        assert_eq!(system.ask(there, Ask.clone()).await?, "ask");
    }
    for absent in ["api://absent", "api://deeper"] {
        assert!(system.tell(absent, Ask).await.is_err());
    }
    assert_eq!(system.ask("api://one", Other {}).await?, 1);
    assert_eq!(system.ask("api://arguments/3/4", Other {}).await?, 7);
    assert_eq!(system.ask("twice://here", Ask).await?, "twice");
    system.stop().await?;
    Ok(())
}
