"""On which machines instance metadata is queried."""

from __future__ import annotations

from pathlib import Path

from freshkey_bedrock import instance_metadata


def test_instance_is_recognized_by_firmware_or_endpoint(tmp_path: Path) -> None:
    assert not instance_metadata.on_instance({}, tmp_path)
    (tmp_path / "sys_vendor").write_text("Amazon EC2\n")
    assert instance_metadata.on_instance({}, tmp_path)
    assert not instance_metadata.on_instance({"AWS_EC2_METADATA_DISABLED": "TRUE"}, tmp_path)
    (tmp_path / "sys_vendor").write_bytes(b"\xff\xfe Other Corp.\n")
    assert not instance_metadata.on_instance({}, tmp_path)
    (tmp_path / "bios_vendor").write_text("1.0.amazon")
    assert instance_metadata.on_instance({}, tmp_path)
    endpoint = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://[fd00:ec2::254]/"}
    assert instance_metadata.on_instance(endpoint, tmp_path / "none")
    assert not instance_metadata.on_instance(endpoint | {"AWS_EC2_METADATA_DISABLED": "true"}, tmp_path)
