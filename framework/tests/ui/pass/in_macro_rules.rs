// The macros work inside `macro_rules!`, whatever stands for what in its arguments.

use mycelia::prelude::*;

/// Everything from arguments, each as the most specific kind of fragment.
macro_rules! specific {
    ($(#[$meta:meta])* $vis:vis $name:ident, $message:ident, $reply:ty, $pattern:literal, $method:ident,
     $argument:ident, $captures:pat => $capture:ty, $answer:expr, $scheme:literal, $priority:ident) => {
        $(#[$meta])*
        #[derive(Message)]
        #[message(reply = $reply, priority = $priority)]
        $vis struct $message;

        #[derive(Subsystem, Default)]
        #[subsystem(name = $scheme)]
        $vis struct $name {
            seen: u64,
        }

        #[routes]
        impl $name {
            #[route($pattern)]
            async fn $method(&mut self, $argument: $message, $captures: $capture) -> $reply {
                let _ = $argument;
                self.seen += 1;
                $answer
            }

            #[started]
            fn begin(&mut self) {}
        }
    };
}

specific!(
    #[derive(Clone)]
    pub(crate) First, Ask, u64, "a/{taken}", taken,
    this, Path(_taken) => Path<u64>, 7, "first", high
);

/// The same by paths, types and expressions.
macro_rules! general {
    ($name:ty, $message:path, $reply:path, $pattern:expr, $method:ident, $capture:path) => {
        #[routes]
        impl $name {
            #[route($pattern)]
            fn $method(&mut self, msg: $message, Path(id): $capture) -> anyhow::Result<$reply> {
                let _ = (msg, id);
                Ok(Default::default())
            }
        }
    };
}

#[derive(Message)]
#[message(reply = String)]
pub struct Other;

#[derive(Subsystem)]
pub struct Second;

general!(Second, self::Other, ::std::string::String, "b/{id}", msg, Path<u64>);

/// Token trees, with a handler's whole text.
macro_rules! by_tokens {
    ($name:tt [$($pattern:tt)*] $($handler:tt)*) => {
        #[derive(Subsystem)]
        struct $name;

        #[routes]
        impl $name {
            $(#[route($pattern)])*
            $($handler)*
        }
    };
}

by_tokens!(Third ["c/{id}" "d/{id}"] fn both(&mut self, _: Other, Path(id): Path<u8>) -> String {
    id.to_string()
});

/// Whole items, methods and attributes.
macro_rules! by_items {
    ($block:item) => {
        #[routes]
        $block
    };
}

#[derive(Subsystem)]
struct Fourth;

by_items!(
    impl Fourth {
        #[route("e")]
        fn answer(&mut self, _: Other) -> String {
            String::new()
        }
    }
);

macro_rules! by_attributes {
    ($name:ident, $($attribute:meta),*; $body:block) => {
        #[derive(Subsystem)]
        struct $name;

        #[routes]
        impl $name {
            $(#[$attribute])*
            fn answer(&mut self, _: Other, id: Path<u16>) -> String {
                let _ = id;
                $body
            }
        }
    };
}

by_attributes!(Fifth, route("f/{id}"), route("g/{id}", blocking), inline; { String::new() });

/// Several of them at a time, with names of ours in the user's place.
macro_rules! several {
    ($($name:ident: $($message:ident = $pattern:literal),*;)*) => {$(
        #[derive(Subsystem)]
        struct $name;

        #[routes]
        impl $name {
            $(
                #[route($pattern)]
                #[allow(non_snake_case)]
                fn $message(&mut self, __msg: $message, __this: Path<u8>) {
                    let (_, _) = (__msg, __this);
                }
            )*
        }
    )*};
}

#[derive(Message)]
struct One;
#[derive(Message)]
struct Two;

several! {
    Sixth: One = "a/{x}", Two = "a/{x}";
    Seventh: Two = "a/{x}";
}

/// Generic blocks.
macro_rules! generic {
    ($name:ident<$parameter:ident: $bound:path>, $pattern:literal) => {
        #[derive(Message)]
        #[message(reply = Vec<$parameter>)]
        struct Put<$parameter>($parameter);

        #[derive(Subsystem)]
        struct $name<$parameter>(Vec<$parameter>);

        #[routes]
        impl<$parameter: $bound + Send + 'static> $name<$parameter> {
            #[route($pattern)]
            fn put(&mut self, Put(value): Put<$parameter>, _: Path<u64>) -> Vec<$parameter> {
                self.0.push(value);
                self.0.clone()
            }
        }
    };
}

generic!(Eighth<T: std::clone::Clone>, "h/{id}");

/// The entry points.
macro_rules! entry {
    ($name:ident -> $output:ty $body:block) => {
        #[mycelia::main]
        pub(crate) async fn $name() -> $output $body
    };
}

entry!(main -> anyhow::Result<()> {
    let system = System::builder().start().await?;
    system.mount(First::default).await?;
    system.mount(|| Second).await?;
    system.mount(|| Third).await?;
    system.mount(|| Fourth).await?;
    system.mount(|| Fifth).await?;
    system.mount(|| Sixth).await?;
    system.mount(|| Seventh).await?;
    system.mount(|| Eighth::<u8>(Vec::new())).await?;
    assert_eq!(system.ask("first://a/1", Ask.clone()).await?, 7);
    assert_eq!(system.ask("second://b/1", Other).await?, "");
    assert_eq!(system.ask("third://d/9", Other).await?, "9");
    assert_eq!(system.ask("fourth://e", Other).await?, "");
    assert_eq!(system.ask("fifth://g/1", Other).await?, "");
    system.ask("sixth://a/1", Two).await?;
    assert_eq!(system.ask("eighth://h/1", Put(3u8)).await?, [3]);
    system.stop().await?;
    Ok(())
});
