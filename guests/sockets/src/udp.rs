//! UDP.

use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress};
use wasip2::sockets::udp::{
    IncomingDatagram, IncomingDatagramStream, OutgoingDatagram, OutgoingDatagramStream, UdpSocket,
};
use wasip2::sockets::udp_create_socket::create_udp_socket;

use crate::{LOCALHOST, address, answer, code, family};

pub fn bound(on: IpSocketAddress) -> Result<UdpSocket, ErrorCode> {
    let socket = create_udp_socket(family(&on))?;
    socket.start_bind(&instance_network(), on)?;
    socket.finish_bind()?;
    Ok(socket)
}

pub fn send(
    stream: &OutgoingDatagramStream,
    text: &str,
    to: Option<IpSocketAddress>,
) -> Result<(), ErrorCode> {
    while stream.check_send()? == 0 {
        stream.subscribe().block();
    }
    let datagram = OutgoingDatagram { data: text.as_bytes().to_vec(), remote_address: to };
    stream.send(&[datagram]).map(|_| ())
}

pub fn receive(stream: &IncomingDatagramStream) -> Result<IncomingDatagram, String> {
    loop {
        match stream.receive(1).map_err(code)?.pop() {
            Some(datagram) => return Ok(datagram),
            None => stream.subscribe().block(),
        }
    }
}

fn text(datagram: IncomingDatagram) -> String {
    String::from_utf8_lossy(&datagram.data).into_owned()
}

pub fn client(port: u16, message: &str, connected: bool) -> Result<String, String> {
    let to = address(LOCALHOST, port);
    let socket = bound(address(LOCALHOST, 0)).map_err(code)?;
    let (incoming, outgoing) = socket.stream(connected.then_some(to)).map_err(code)?;
    send(&outgoing, message, (!connected).then_some(to)).map_err(code)?;
    receive(&incoming).map(text)
}

pub fn stranger() -> Result<Vec<String>, String> {
    let sockets: Result<Vec<_>, _> = (0..3).map(|_| bound(address(LOCALHOST, 0))).collect();
    let sockets = sockets.map_err(code)?;
    let [first, friend, stranger] = &sockets[..] else { return Err("three".to_owned()) };
    let own = first.local_address().map_err(code)?;
    let known = friend.local_address().map_err(code)?;
    let (incoming, outgoing) = first.stream(Some(known)).map_err(code)?;
    let (heard, answers) = friend.stream(None).map_err(code)?;
    let (_, strange) = stranger.stream(None).map_err(code)?;

    send(&strange, "from a stranger", Some(own)).map_err(code)?;
    send(&answers, "from a friend", Some(own)).map_err(code)?;
    let mut seen = vec![text(receive(&incoming)?)];
    send(&outgoing, "back", None).map_err(code)?;
    seen.push(text(receive(&heard)?));
    // A connected socket sends to nobody else.
    let elsewhere = stranger.local_address().map_err(code)?;
    seen.push(answer(send(&outgoing, "elsewhere", Some(elsewhere))));
    seen.push(answer(first.remote_address()));
    drop((incoming, outgoing));
    let (_incoming, outgoing) = first.stream(None).map_err(code)?;
    seen.push(answer(first.remote_address()));
    seen.push(answer(send(&outgoing, "to nobody", None)));
    Ok(seen)
}

pub fn errors() -> Vec<String> {
    let network = instance_network();
    let new = || create_udp_socket(IpAddressFamily::Ipv4).expect("a socket");
    let bound = || bound(address(LOCALHOST, 0)).expect("bound");
    let mut answers = Vec::new();
    let mut note = |what: &str, answer: String| answers.push(format!("{what}: {answer}"));

    note("local-address of a new socket", answer(new().local_address()));
    note("remote-address of a new socket", answer(new().remote_address()));
    note("finish-bind before start-bind", answer(new().finish_bind()));
    note("stream of an unbound socket", answer(new().stream(None)));
    note("bind twice", answer(bound().start_bind(&network, address(LOCALHOST, 0))));
    note("bind the other family", answer(new().start_bind(&network, address("::1", 0))));
    note("bind a foreign address", answer(new().start_bind(&network, address("192.0.2.1", 0))));
    note("connect to the other family", answer(bound().stream(Some(address("::1", 9)))));
    note("connect to 0.0.0.0", answer(bound().stream(Some(address("0.0.0.0", 9)))));
    note("connect to port 0", answer(bound().stream(Some(address(LOCALHOST, 0)))));
    note("hop limit 0", answer(new().set_unicast_hop_limit(0)));
    note("receive buffer 0", answer(new().set_receive_buffer_size(0)));
    let socket = bound();
    let (_incoming, outgoing) = socket.stream(None).expect("streams");
    let large = "x".repeat(65_508);
    note("a datagram of 65,508 bytes", answer(send(&outgoing, &large, Some(address(LOCALHOST, 9)))));
    note("a datagram to port 0", answer(send(&outgoing, "x", Some(address(LOCALHOST, 0)))));
    answers
}
