"""grpcio, as anyone would use it: a server that demands and echoes the credential, and a program that calls it."""

import os
import sys
import threading
from concurrent import futures

import grpc

METHODS = ["Unary", "Down", "Up", "Both", "Slow", "Fail", "CalledOff"]


def serve(certificate, key):
    """Serves on a port that it prints, until its input ends."""
    called_off = threading.Semaphore(0)

    def credential(context):
        fields = dict(context.invocation_metadata())
        if fields.get("authorization") != os.environ["EXPECTED"]:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "not the credential")
        context.set_trailing_metadata([("x-echo", fields["authorization"]), ("x-echo-bin", b"\x00\xff")])
        return fields["authorization"]

    def unary(request, context):
        return f"{credential(context)}: {request}"

    def down(request, context):
        told = credential(context)
        for number in range(5):
            yield f"{told}: {request} {number}"

    def up(requests, context):
        return f"{credential(context)}: {' '.join(requests)}"

    def both(requests, context):
        told = credential(context)
        for request in requests:
            yield f"{told}: {request}"

    def slow(request, context):
        credential(context)
        over = threading.Event()
        context.add_callback(over.set)
        over.wait()
        called_off.release()
        return "too late"

    def fail(request, context):
        context.abort(grpc.StatusCode.NOT_FOUND, f"no {request} for {credential(context)}, 100 % sure")

    def was_called_off(request, context):
        return str(called_off.acquire(timeout=30))

    kinds = {
        "Unary": (grpc.unary_unary_rpc_method_handler, unary),
        "Down": (grpc.unary_stream_rpc_method_handler, down),
        "Up": (grpc.stream_unary_rpc_method_handler, up),
        "Both": (grpc.stream_stream_rpc_method_handler, both),
        "Slow": (grpc.unary_unary_rpc_method_handler, slow),
        "Fail": (grpc.unary_unary_rpc_method_handler, fail),
        "CalledOff": (grpc.unary_unary_rpc_method_handler, was_called_off),
    }
    handlers = {
        name: make(method, request_deserializer=bytes.decode, response_serializer=str.encode)
        for name, (make, method) in kinds.items()
    }
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
    with open(certificate, "rb") as chain, open(key, "rb") as private:
        credentials = grpc.ssl_server_credentials([(private.read(), chain.read())])
    print(server.add_secure_port("127.0.0.1:0", credentials), flush=True)
    server.start()
    sys.stdin.read()
    server.stop(None)


def call(target):
    """Makes calls of every kind. The placeholder has to stand wherever the server echoed the credential."""
    placeholder = os.environ["PLACEHOLDER"]
    mine = [("authorization", f"Bearer {placeholder}")]
    told = f"Bearer {placeholder}: "
    # What the usual settings say: https_proxy, and GRPC_DEFAULT_SSL_ROOTS_FILE_PATH.
    channel = grpc.secure_channel(target, grpc.ssl_channel_credentials())

    def method(kind, name):
        return kind(f"/test.Echo/{name}", request_serializer=str.encode, response_deserializer=bytes.decode)

    def refused(step):
        try:
            step()
        except grpc.RpcError as error:
            print(error.code(), error.details())
            return error
        raise AssertionError("it was not refused")

    unary = method(channel.unary_unary, "Unary")
    answer, state = unary.with_call("hello", metadata=mine, timeout=30)
    trailers = dict(state.trailing_metadata())
    assert answer == told + "hello", answer
    assert trailers["x-echo"] == f"Bearer {placeholder}" and trailers["x-echo-bin"] == b"\x00\xff", trailers

    large = "x" * 1_000_000
    assert unary(large, metadata=mine, timeout=60) == told + large

    answers = list(method(channel.unary_stream, "Down")("n", metadata=mine, timeout=30))
    assert answers == [f"{told}n {number}" for number in range(5)], answers

    answer = method(channel.stream_unary, "Up")(iter(["a", "b", "c"]), metadata=mine, timeout=30)
    assert answer == told + "a b c", answer

    # Each question waits for the answer before it: nobody on the way may wait for more.
    answered = threading.Semaphore(1)

    def questions():
        for number in range(20):
            assert answered.acquire(timeout=30)
            yield f"question {number}"

    count = 0
    for answer in method(channel.stream_stream, "Both")(questions(), metadata=mine, timeout=60):
        assert answer == f"{told}question {count}", answer
        count += 1
        answered.release()
    assert count == 20

    slow = method(channel.unary_unary, "Slow")
    called_off = method(channel.unary_unary, "CalledOff")
    error = refused(lambda: slow("x", metadata=mine, timeout=1))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert called_off("x", metadata=mine, timeout=60) == "True"
    on_its_way = slow.future("x", metadata=mine, timeout=60)
    assert unary("meanwhile", metadata=mine, timeout=30) == told + "meanwhile"
    on_its_way.cancel()
    assert called_off("x", metadata=mine, timeout=60) == "True"

    error = refused(lambda: method(channel.unary_unary, "Fail")("thing", metadata=mine, timeout=30))
    assert error.code() == grpc.StatusCode.NOT_FOUND
    assert error.details() == f"no thing for Bearer {placeholder}, 100 % sure", error.details()

    error = refused(lambda: method(channel.unary_unary, "Other")("x", metadata=mine, timeout=30))
    assert error.code() == grpc.StatusCode.PERMISSION_DENIED
    assert error.details().startswith("call-not-permitted: "), error.details()
    fields = dict(error.trailing_metadata() or ()) | dict(error.initial_metadata() or ())
    assert b"call-not-permitted" in fields["grpc-status-details-bin"] and fields["cloakroom-request"], fields

    error = refused(lambda: unary("x", metadata=[("authorization", "Bearer sk-nothing")], timeout=30))
    assert error.code() == grpc.StatusCode.PERMISSION_DENIED
    error = refused(lambda: method(channel.stream_stream, "Both")(iter(["x"]), timeout=30).next())
    assert error.code() == grpc.StatusCode.PERMISSION_DENIED
    print(answer, "done")


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(*sys.argv[2:])
    else:
        call(sys.argv[2])
