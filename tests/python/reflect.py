"""Reads the state of a cluster knowing only where it is: services, messages and all come by reflection.

    reflect.py ADDRESS CA [CERT KEY]

Prints one JSON object {"services", "health", "nodes"}. Ends with 3 and the gRPC code on standard error if
there is no answer.
"""

import json
import sys

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

SERVICE = "quorate.v1.ClusterService"
DEADLINE_S = 10


def read(path):
    with open(path, "rb") as file:
        return file.read()


def open_channel(address, ca, cert=None, key=None):
    credentials = grpc.ssl_channel_credentials(
        root_certificates=read(ca),
        private_key=read(key) if key else None,
        certificate_chain=read(cert) if cert else None,
    )
    return grpc.secure_channel(address, credentials)


def call(channel, service, name):
    """Calls a method with an empty request, with messages made from their descriptors."""
    method = service.methods_by_name[name]
    request = message_factory.GetMessageClass(method.input_type)
    response = message_factory.GetMessageClass(method.output_type)
    stub = channel.unary_unary(
        f"/{service.full_name}/{method.name}",
        request_serializer=request.SerializeToString,
        response_deserializer=response.FromString,
    )
    answer = stub(request(), timeout=DEADLINE_S)
    return json_format.MessageToDict(answer, preserving_proto_field_name=True)


def main(arguments):
    with open_channel(*arguments) as channel:
        try:
            # The first call has the deadline; the reflection client has none of its own.
            grpc.channel_ready_future(channel).result(timeout=DEADLINE_S)
            database = ProtoReflectionDescriptorDatabase(channel)
            services = sorted(database.get_services())
            service = descriptor_pool.DescriptorPool(database).FindServiceByName(SERVICE)
            health = call(channel, service, "GetHealth")
            nodes = call(channel, service, "ListNodes")
        except grpc.RpcError as error:
            print(error.code().name, error.details(), file=sys.stderr)
            return 3
        except grpc.FutureTimeoutError:
            print("UNAVAILABLE no connection", file=sys.stderr)
            return 3
    print(json.dumps({"services": services, "health": health, "nodes": nodes}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
