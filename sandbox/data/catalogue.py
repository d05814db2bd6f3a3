"""What Nordwind Robotics uses: services, their meters, and how their cost moves over time."""

import json
from dataclasses import dataclass
from datetime import date

# Name, category, subcategory, meter category, share of the cost in thousandths, share of the
# resources, factor at weekends, resource type (none: the charge has no resource).
_SERVICES = """
Virtual Machines|Compute|Virtual Machines|Virtual Machines|260|9|0.80|\
Microsoft.Compute/virtualMachines
Azure SQL Database|Databases|Relational Databases|SQL Database|125|4|0.97|\
Microsoft.Sql/servers/databases
Storage Accounts|Storage|Object Storage|Storage|95|8|0.99|Microsoft.Storage/storageAccounts
Azure Kubernetes Service|Compute|Containers|Azure Kubernetes Service|60|3|0.90|\
Microsoft.ContainerService/managedClusters
Azure Cosmos DB|Databases|NoSQL Databases|Azure Cosmos DB|70|2|0.94|\
Microsoft.DocumentDB/databaseAccounts
Azure OpenAI|AI and Machine Learning|Generative AI|Foundry Models|80|2|0.55|\
Microsoft.CognitiveServices/accounts
Azure App Service|Web|Application Platforms|Azure App Service|65|3|0.97|Microsoft.Web/sites
Log Analytics|Management and Governance|Observability|Log Analytics|55|3|0.85|\
Microsoft.OperationalInsights/workspaces
Bandwidth|Networking|Network Connectivity|Bandwidth|40|3|0.82|
Azure Databricks|Analytics|Analytics Platforms|Azure Databricks|55|1|0.60|\
Microsoft.Databricks/workspaces
Microsoft Defender for Cloud|Security|Security Posture Management|Security Center|32|2|1.00|
Azure Data Factory|Analytics|Data Processing|Azure Data Factory v2|30|2|0.88|\
Microsoft.DataFactory/factories
Azure Cache for Redis|Databases|Caching|Redis Cache|28|1|1.00|Microsoft.Cache/Redis
Application Gateway|Networking|Application Networking|Application Gateway|24|1|0.96|\
Microsoft.Network/applicationGateways
Virtual Network|Networking|Network Infrastructure|Virtual Network|14|2|0.98|\
Microsoft.Network/publicIPAddresses
Event Hubs|Integration|Messaging|Event Hubs|18|1|0.90|Microsoft.EventHub/namespaces
Azure DevOps|Developer Tools|Developer Platforms|Azure DevOps|10|1|1.00|
Key Vault|Security|Secret Management|Key Vault|4|2|0.85|Microsoft.KeyVault/vaults
"""

# Service, meter, subcategory, unit, list price in millionths.
_METERS = """
Virtual Machines|D4s v5|Dsv5 Series|Hours|230000
Virtual Machines|E8ds v5|Edsv5 Series|Hours|672000
Virtual Machines|F16s v2|Fsv2 Series|Hours|776000
Virtual Machines|NC24ads A100 v4|NCads A100 v4 Series|Hours|4408000
Azure SQL Database|vCore|SQL Database Single General Purpose|Hours|252090
Azure SQL Database|Data Stored|SQL Database Storage|GB/Month|138000
Storage Accounts|Hot LRS Data Stored|Tiered Block Blob|GB/Month|18400
Storage Accounts|Hot Write Operations|Tiered Block Blob|10K|54000
Storage Accounts|P30 LRS Disk|Premium SSD Managed Disks|Units/Month|148680000
Azure Kubernetes Service|Standard Uptime SLA|Azure Kubernetes Service|Hours|100000
Azure Cosmos DB|100 RU/s|Azure Cosmos DB|Hours|8000
Azure OpenAI|gpt Input Tokens|Azure OpenAI|1M Tokens|2500000
Azure OpenAI|gpt Output Tokens|Azure OpenAI|1M Tokens|10000000
Azure App Service|P1 v3 App|Premium v3 Plan|Hours|208000
Log Analytics|Analytics Logs Data Ingestion|Log Analytics|GB|2760000
Bandwidth|Standard Data Transfer Out|Rtn Preference: MGN|GB|80000
Bandwidth|Inter Continent Data Transfer Out|Inter-Region|GB|50000
Azure Databricks|Premium All-purpose Compute DBU|Azure Databricks|DBU|550000
Microsoft Defender for Cloud|Standard Node|Defender for Servers|Hours|20000
Azure Data Factory|Cloud Data Movement|Azure Data Factory v2|DIU-Hours|250000
Azure Cache for Redis|P1 Cache Instance|Azure Redis Cache Premium|Hours|554000
Application Gateway|Standard Fixed Cost|Application Gateway WAF v2|Hours|443000
Virtual Network|Standard IPv4 Static Public IP|IP Addresses|Hours|5000
Event Hubs|Standard Throughput Unit|Event Hubs|Hours|30000
Azure DevOps|Basic User|Azure DevOps|Users/Month|6000000
Key Vault|Operations|Key Vault|10K|30000
"""

_CORES = {"D4s v5": (4, 16), "E8ds v5": (8, 64), "F16s v2": (16, 32), "NC24ads A100 v4": (24, 220)}
NEGOTIATED = 92  # the contracted price, in hundredths of the list price
THIRD_PARTY = "Azure Databricks"  # sold through the marketplace; its publisher is paid


@dataclass(frozen=True)
class Meter:
    """What is measured and at which price, in millionths."""

    name: str
    subcategory: str
    unit: str
    list_price: int

    @property
    def contracted_price(self) -> int:
        """The list price less the negotiated discount."""
        return self.list_price * NEGOTIATED // 100

    def details(self) -> str:
        """The price's details as JSON, for machines."""
        if self.name not in _CORES:
            return ""
        cores, memory = _CORES[self.name]
        return json.dumps({"CoreCount": cores, "InstanceType": self.name, "MemorySize": memory})


@dataclass(frozen=True)
class Service:
    """A service and its meters. ``share`` is in thousandths of the company's cost."""

    name: str
    category: str
    subcategory: str
    meter_category: str
    share: int
    slots: int
    weekend: float
    resource_type: str
    meters: tuple[Meter, ...]

    @property
    def third_party(self) -> bool:
        """Whether somebody else than Microsoft is paid."""
        return self.name == THIRD_PARTY


def _services() -> tuple[Service, ...]:
    meters: dict[str, list[Meter]] = {}
    for line in _METERS.strip().splitlines():
        service, name, subcategory, unit, price = line.split("|")
        meters.setdefault(service, []).append(Meter(name, subcategory, unit, int(price)))
    services = []
    for line in _SERVICES.strip().splitlines():
        name, category, subcategory, meter_category, share, slots, weekend, kind = line.split("|")
        own = tuple(meters[name])
        shares = (int(share), int(slots), float(weekend))
        services.append(Service(name, category, subcategory, meter_category, *shares, kind, own))
    return tuple(services)


SERVICES = _services()


def service_named(name: str) -> Service:
    """The service of that name."""
    return next(service for service in SERVICES if service.name == name)


def shape(service: Service, day: date, age: float) -> float:
    """How a service's cost on a day compares with its share; 0 while it is not in use.

    ``age`` is how much of the thirteen months has gone by, from 0 to 1.
    """
    factor = 0.82 + 0.36 * age  # the company grows
    if day.weekday() >= 5:
        factor *= service.weekend
    if service.name == "Azure OpenAI":  # begins, and catches on
        factor *= 0.0 if age < 0.42 else min(1.6, (age - 0.42) * 5)
    elif service.name == "Azure Cache for Redis":  # replaced
        factor *= 1.0 if age < 0.68 else 0.0
    elif service.name == "Azure Data Factory":  # a pipeline that ran away over three days
        factor *= 9.0 if 0.815 <= age < 0.8225 else 1.0
    elif service.name == "Storage Accounts":  # only ever grows
        factor *= 0.8 + 0.5 * age
    return factor
