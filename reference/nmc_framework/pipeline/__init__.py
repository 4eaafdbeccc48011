"""The whole way of clause 5 by one configuration, in steps that are kept while they hold."""

from nmc_framework.pipeline.command_steps import CommandStep, examples, read_commands
from nmc_framework.pipeline.configuration import Configuration, example, read_configuration
from nmc_framework.pipeline.execution import StepReport, run_steps
from nmc_framework.pipeline.graph import STEPS
from nmc_framework.pipeline.step import PipelineError, Step, Task
from nmc_framework.pipeline.validation import validate
from nmc_framework.pipeline.yaml_document import ConfigurationError

__all__ = [
    "STEPS",
    "CommandStep",
    "Configuration",
    "ConfigurationError",
    "PipelineError",
    "Step",
    "StepReport",
    "Task",
    "example",
    "examples",
    "read_commands",
    "read_configuration",
    "run_steps",
    "validate",
]
