"""The tests of drivers that run on one machine only, each with its reason. All others run on both.

`test_one_machine.py` collects the tests and holds this to be the truth. A file stands for all tests in it, and for
those that run on both as well; a test that could run on both belongs on both, by a fixture of its conftest.
"""

from __future__ import annotations

DRIVEN = ("data", "death", "faults", "images", "links", "plugging", "rights", "soak")
# Below tests/: of the system's tests those that are about a device and its driver, not the network or the shell
FOLDERS = ("drivers", "examples", "sip/hostile", *(f"system/test_{name}.py" for name in DRIVEN))

NO_DRIVER = "pure: no machine and no driver runs"
SLOW = "the model is late, to order; QEMU's devices are as fast as they are, and cannot be held up without QEMU itself"
ODD = "a device as QEMU has none: the model is another one, by a quirk or by hand"
HUNG = "a device that leaves one command unanswered, to order: QEMU's answer all"
CABLE = "a link that breaks: QEMU's has no cable"
HAND = "disks of QEMU's AHCI are soldered in: `ide-hd` is not hot-pluggable"
IMAGE = "odd is what the image holds; the disk below, on both machines, is test_data.py's"
TURN = "at each turn of the event loop, to order: only our model works on that loop, and stops between two turns"
QEMUS_OWN = "of what QEMU alone has"
BOTH_INSIDE = "starts both machines itself, and compares"

ONE: dict[str, str] = {
    # What has no machine
    "drivers/test_block.py": NO_DRIVER,
    "drivers/test_partitions.py": NO_DRIVER,
    "drivers/test_ranges.py": NO_DRIVER,
    "drivers/test_rawcommand.py": NO_DRIVER,
    "drivers/ahci/test_commands.py": NO_DRIVER,
    "drivers/ahci/test_memory.py": NO_DRIVER,
    "drivers/ahci/test_queue.py": NO_DRIVER,
    "drivers/ahci/test_differential.py": BOTH_INSIDE,
    # The AHCI driver
    "drivers/ahci/test_anywhere.py::test_a_controller_anywhere_on_the_buses_interrupts": QEMUS_OWN,
    "drivers/ahci/test_bringup.py::test_a_disk_that_does_not_come_back_from_a_reset_is_gone": CABLE,
    "drivers/ahci/test_bringup.py::test_a_disk_that_loses_its_first_command_is_asked_again": ODD,
    "drivers/ahci/test_bringup.py::test_a_disk_that_never_answers_delays_nobody_and_may_be_replugged": HUNG,
    "drivers/ahci/test_bringup.py::test_a_disk_that_takes_long_comes_when_it_is_ready": SLOW,
    "drivers/ahci/test_bringup.py::test_a_list_that_does_not_stop_is_reset": ODD,
    "drivers/ahci/test_bringup.py::test_a_small_arena_gives_smaller_buffers_or_no_disk": (
        "the rig gives less memory than a machine's arena has"
    ),
    "drivers/ahci/test_bringup.py::test_a_start_that_is_given_up_in_the_middle_undoes_itself": SLOW,
    "drivers/ahci/test_bringup.py::test_another_disk_after_a_reset_is_not_taken_for_the_old": CABLE,
    "drivers/ahci/test_bringup.py::test_what_is_not_an_ata_disk_is_left_alone": ODD,
    "drivers/ahci/test_controller.py::test_a_disk_in_a_recovery_is_flushed_when_that_is_over": TURN,
    "drivers/ahci/test_controller.py::test_a_flush_that_takes_too_long_is_told": SLOW,
    "drivers/ahci/test_controller.py::test_a_register_that_never_changes_is_told": ODD,
    "drivers/ahci/test_controller.py::test_a_slow_disk_is_waited_for": SLOW,
    "drivers/ahci/test_controller.py::test_an_hba_with_sticky_interrupt_status": ODD,
    "drivers/ahci/test_controller.py::test_firmware_hands_the_hba_over": ODD,
    "drivers/ahci/test_controller.py::test_it_comes_up_and_tells_what_it_found": (
        "our model's names; test_anywhere.py has what both machines' have in common"
    ),
    "drivers/ahci/test_controller.py::test_memory_above_4_gib_needs_an_hba_that_reaches_it": ODD,
    "drivers/ahci/test_controller.py::test_what_comes_while_it_ends_is_refused_and_not_lost": SLOW,
    "drivers/ahci/test_media_errors.py::test_a_host_s_disk_that_is_full_is_an_error_of_the_disk": QEMUS_OWN,
    "drivers/ahci/test_port.py": TURN,
    "drivers/ahci/test_recovery.py::test_a_command_that_always_breaks_the_link_is_given_up": CABLE,
    "drivers/ahci/test_recovery.py::test_a_device_that_does_not_answer_is_reset": HUNG,
    "drivers/ahci/test_recovery.py::test_a_disk_that_is_plugged_in_comes": HAND,
    "drivers/ahci/test_recovery.py::test_a_disk_that_is_pulled_fails_what_was_in_flight_and_goes": HAND,
    "drivers/ahci/test_recovery.py::test_a_log_that_cannot_be_read_is_done_without": ODD,
    "drivers/ahci/test_recovery.py::test_a_log_that_makes_no_sense_is_done_without": ODD,
    "drivers/ahci/test_recovery.py::test_a_queued_read_that_fails_is_told_and_the_others_are_not": (
        "of the error log, which QEMU's disks do not have; test_media_errors.py is of both"
    ),
    "drivers/ahci/test_recovery.py::test_a_search_that_takes_too_long_tells_what_it_knows": HUNG,
    "drivers/ahci/test_recovery.py::test_an_adapter_that_clears_what_failed_is_not_believed": ODD,
    "drivers/ahci/test_recovery.py::test_an_error_that_comes_and_goes_ends_the_search": ODD,
    "drivers/ahci/test_recovery.py::test_an_interface_error_resets_the_device_and_loses_nothing": CABLE,
    "drivers/ahci/test_recovery.py::test_another_disk_in_the_same_port_is_another_disk": HAND,
    "drivers/ahci/test_recovery.py::test_plugging_and_pulling_fast_ends_well": HAND,
    "drivers/ahci/test_storm.py::test_a_storm": HAND,
    "drivers/ahci/test_storm.py::test_a_storm_on_qemu": "what of the storm can be done to QEMU",
    "drivers/ahci/test_through_the_kernel.py::test_a_disk_goes_and_another_comes": HAND,
    # The system
    "sip/hostile/test_hostile.py::test_dma_outside_its_arena": "where DMA is confined: QEMU's devices reach all arenas",
    "sip/hostile/test_hostile.py::test_dma_that_nothing_confines_is_told_and_can_be_refused": "where it is not",
    "system/test_rights.py::test_a_prdt_that_points_out_of_the_arena": "where DMA is confined",
    "system/test_rights.py::test_a_prdt_that_points_to_somebody_elses_arena": "where DMA is confined",
    "system/test_rights.py::test_without_capabilities": "all of it is refused before a machine is asked",
    "system/test_faults.py::test_a_bad_sector_is_the_disks_and_not_the_files": "formats other than raw are QEMU's",
    "system/test_faults.py::test_a_fault_that_is_none": "of the command line",
    "system/test_faults.py::test_the_report_of_a_crash_names_the_registers_last_touched": (
        "the embedded machine's fault, at an access that is counted"
    ),
    "system/test_images.py": IMAGE,
}
